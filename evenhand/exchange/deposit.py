"""What a public archive needs to be deposited and cited: a licence, CITATION.cff, and the metadata of Zenodo and DataCite."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evenhand import __version__
from evenhand.errors import InvalidSettings
from evenhand.model.archive import PublicRelease
from evenhand.model.study import Study

# SPDX identifiers of licences for data, with their name and where their text is.
LICENCES: Mapping[str, tuple[str, str]] = {
    "CC-BY-4.0": ("Creative Commons Attribution 4.0 International", "https://creativecommons.org/licenses/by/4.0/legalcode"),
    "CC-BY-SA-4.0": (
        "Creative Commons Attribution Share Alike 4.0 International",
        "https://creativecommons.org/licenses/by-sa/4.0/legalcode",
    ),
    "CC0-1.0": ("Creative Commons Zero v1.0 Universal", "https://creativecommons.org/publicdomain/zero/1.0/legalcode"),
    "ODbL-1.0": ("Open Data Commons Open Database License v1.0", "https://opendatacommons.org/licenses/odbl/1-0/"),
}
ORCID_PATTERN = re.compile(r"(\d{4}-){3}\d{3}[\dX]")
KEYWORDS = ("hyperparameter optimization", "user study", "deep learning", "human skill")
DATACITE_SCHEMA = "http://datacite.org/schema/kernel-4"


@dataclass(frozen=True)
class Author:
    """Who made the data. family alone: an organisation."""

    family: str
    given: str = ""
    affiliation: str = ""
    orcid: str = ""

    @property
    def name(self) -> str:
        """As libraries list people: Family, Given."""
        return f"{self.family}, {self.given}" if self.given else self.family


@dataclass(frozen=True)
class Deposit:
    """How an archive is deposited. title: "": the study's."""

    authors: tuple[Author, ...]
    licence: str = "CC-BY-4.0"
    publisher: str = "Zenodo"
    title: str = ""

    def __post_init__(self) -> None:
        if not self.authors:
            raise InvalidSettings('no author; expected at least one, such as --author "Family, Given; affiliation; ORCID"')
        if self.licence not in LICENCES:
            raise InvalidSettings(f"licence {self.licence!r}: expected one of {', '.join(LICENCES)}")


def author(text: str) -> Author:
    """An author of a text such as `Family, Given; affiliation; ORCID`, of which the name alone is needed.

    Args:
        text: as it was given.

    Returns:
        The author.

    Raises:
        InvalidSettings: it has no name, or an ORCID that is none.
    """
    name, affiliation, orcid, *rest = (*(part.strip() for part in text.split(";")), "", "", "")
    family, _, given = (part.strip() for part in name.partition(","))
    if not family or any(rest[:1]):
        raise InvalidSettings(f"--author {text!r}: expected Family, Given; affiliation; ORCID")
    orcid = orcid.rpartition("/")[2]
    if orcid and not (ORCID_PATTERN.fullmatch(orcid) and _is_checked(orcid)):
        raise InvalidSettings(f"--author {text!r}: {orcid!r} is no ORCID, such as 0000-0002-1825-0097")
    return Author(family, given, affiliation, orcid)


def _is_checked(orcid: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO 7064, MOD 11-2)."""
    total = 0
    plain = orcid.replace("-", "")
    for digit in plain[:-1]:
        total = (total + int(digit)) * 2
    rest = (12 - total % 11) % 11
    return plain[-1] == ("X" if rest == 10 else str(rest))


def files(deposit: Deposit, study: Study, release: PublicRelease) -> dict[str, str]:
    """Licence, citation and metadata by file name."""
    title = deposit.title or f"{study.title}: records of the study"
    at = study.closed_at or study.published_at or time.time()
    day = time.strftime("%Y-%m-%d", time.gmtime(at))
    words = (
        f"Records of the study “{study.title}” (version {study.version}, hash {study.hash or 'none'}): how people and methods "
        f"tuned hyperparameters. Answers are coarsened so that at least {release.k} people share each combination. Made with "
        f"Evenhand {__version__}, which computes the report from them again."
    )
    name, address = LICENCES[deposit.licence]
    return {
        "LICENSE": f"{title}\n\nThis data is licensed under {name} ({deposit.licence}).\nThe licence's text: {address}\n",
        "CITATION.cff": _citation(deposit, title, study, day),
        ".zenodo.json": _json(_zenodo(deposit, title, words, study, day)),
        "datacite.json": _json(_datacite(deposit, title, words, study, day)),
    }


def _citation(deposit: Deposit, title: str, study: Study, day: str) -> str:
    """CITATION.cff 1.2.0; strings are written as JSON, which is YAML, too."""
    lines = [
        "cff-version: 1.2.0",
        'message: "If you use this data, please cite it as below."',
        "type: dataset",
        f"title: {json.dumps(title, ensure_ascii=False)}",
        f"version: {json.dumps(str(study.version))}",
        f"date-released: {day}",
        f"license: {deposit.licence}",
        "authors:",
    ]
    for one in deposit.authors:
        given = {"family-names": one.family, "given-names": one.given} if one.given else {"name": one.family}
        entry = {**given, "affiliation": one.affiliation, "orcid": one.orcid and f"https://orcid.org/{one.orcid}"}
        author_lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items() if value]
        lines += [f"  {'-' if at == 0 else ' '} {line}" for at, line in enumerate(author_lines)]
    lines += ["keywords:", *(f"  - {keyword}" for keyword in KEYWORDS)]
    return "\n".join(lines) + "\n"


def _zenodo(deposit: Deposit, title: str, words: str, study: Study, day: str) -> dict[str, Any]:
    """What Zenodo reads of a deposit."""
    creators = [
        {key: value for key, value in (("name", one.name), ("affiliation", one.affiliation), ("orcid", one.orcid)) if value}
        for one in deposit.authors
    ]
    return {
        "upload_type": "dataset",
        "title": title,
        "creators": creators,
        "description": words,
        "access_right": "open",
        "license": deposit.licence.lower(),
        "publication_date": day,
        "version": str(study.version),
        "keywords": list(KEYWORDS),
    }


def _datacite(deposit: Deposit, title: str, words: str, study: Study, day: str) -> dict[str, Any]:
    """DataCite's schema 4, but for the DOI, which the repository assigns."""
    name, address = LICENCES[deposit.licence]
    return {
        "schemaVersion": DATACITE_SCHEMA,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Study records"},
        "titles": [{"title": title}],
        "creators": [_creator(one) for one in deposit.authors],
        "publisher": {"name": deposit.publisher},
        "publicationYear": day[:4],
        "dates": [{"date": day, "dateType": "Issued"}],
        "version": str(study.version),
        "language": study.languages[0],
        "subjects": [{"subject": keyword} for keyword in KEYWORDS],
        "descriptions": [{"description": words, "descriptionType": "Abstract"}],
        "rightsList": [
            {
                "rights": name,
                "rightsUri": address,
                "rightsIdentifier": deposit.licence.lower(),
                "rightsIdentifierScheme": "SPDX",
                "schemeUri": "https://spdx.org/licenses/",
            }
        ],
    }


def _creator(one: Author) -> dict[str, Any]:
    scheme = {"nameIdentifierScheme": "ORCID", "schemeUri": "https://orcid.org"}
    entry: dict[str, Any] = {"name": one.name, "nameType": "Personal" if one.given else "Organizational"}
    if one.given:
        entry |= {"givenName": one.given, "familyName": one.family}
    if one.affiliation:
        entry["affiliation"] = [{"name": one.affiliation}]
    if one.orcid:
        entry["nameIdentifiers"] = [{"nameIdentifier": f"https://orcid.org/{one.orcid}", **scheme}]
    return entry


def _json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
