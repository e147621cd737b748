"""The verbs: every change of state, in process and over HTTP."""
