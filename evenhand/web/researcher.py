"""The researcher's pages: sign-in, the study, a session, its evaluation."""

from fastapi import APIRouter

router = APIRouter()
