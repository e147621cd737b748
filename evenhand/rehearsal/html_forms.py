"""The forms of an HTML page, as a browser would fill and send them: what the bots read."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

Attributes = dict[str, str]


@dataclass(frozen=True)
class FormControl:
    """One named control. kind: an input's type, "select", "textarea" or "button". options: the values of a select or of radios
    and checkboxes of one name; labels in their order. value: what it holds now; several where several boxes are ticked."""

    name: str
    kind: str
    values: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    attributes: Attributes = field(default_factory=dict)

    @property
    def value(self) -> str:
        """The one value that it holds; "" where it holds none."""
        return self.values[0] if self.values else ""


@dataclass(frozen=True)
class Form:
    """One form. action: its address; method: "get" or "post". hidden: it lies in an element that a browser does not show."""

    action: str
    method: str
    fields: dict[str, FormControl]
    hidden: bool = False

    def values(self) -> dict[str, str | list[str]]:
        """What a browser would send if nobody changed anything: all but unticked boxes and buttons."""
        values: dict[str, str | list[str]] = {}
        for control in self.fields.values():
            if control.kind == "button" or (control.kind in ("radio", "checkbox") and not control.values):
                continue
            values[control.name] = list(control.values) if len(control.values) > 1 else control.value
        return values


def forms(html: str) -> list[Form]:
    """Every form of a page, in order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.forms


def form_for(html: str, action: str) -> Form | None:
    """The first form whose address begins with `action`."""
    return next((form for form in forms(html) if form.action.startswith(action)), None)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select: tuple[Attributes, list[str], list[str], list[str]] | None = None
        self._text: tuple[Attributes, list[str]] | None = None
        self._option = False
        self._hidden: tuple[str, int] | None = None  # the outermost hidden element's tag, and how many of that tag are open in it

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if self._hidden is not None and tag == self._hidden[0]:
            self._hidden = (tag, self._hidden[1] + 1)
        elif self._hidden is None and "hidden" in given and tag != "input":
            self._hidden = (tag, 1)
        if tag == "form":
            hidden = self._hidden is not None
            self._form = Form(given.get("action", ""), given.get("method", "get").lower(), {}, hidden)
            self.forms.append(self._form)
        elif tag == "input":
            self._input(given)
        elif tag == "button" and given.get("name"):
            self._add(FormControl(given["name"], "button", (given.get("value", ""),), attributes=given))
        elif tag == "select":
            self._select = (given, [], [], [])
        elif tag == "option" and self._select:
            _, options, chosen, labels = self._select
            options.append(given.get("value", ""))
            labels.append("")
            if "selected" in given:
                chosen.append(options[-1])
            self._option = True
        elif tag == "textarea":
            self._text = (given, [])

    def handle_data(self, data: str) -> None:
        if self._text:
            self._text[1].append(data)
        elif self._select and self._option:
            self._select[3][-1] += data.strip()

    def handle_endtag(self, tag: str) -> None:
        if self._hidden is not None and tag == self._hidden[0]:
            self._hidden = (tag, self._hidden[1] - 1) if self._hidden[1] > 1 else None
        if tag == "form":
            self._form = None
        elif tag == "option":
            self._option = False
        elif tag == "select" and self._select:
            given, options, chosen, labels = self._select
            held = tuple(chosen) or (() if "multiple" in given else tuple(options[:1]))
            self._add(FormControl(given.get("name", ""), "select", held, tuple(options), tuple(labels), given))
            self._select = None
        elif tag == "textarea" and self._text:
            given, text = self._text
            self._add(FormControl(given.get("name", ""), "textarea", ("".join(text),), attributes=given))
            self._text = None

    def _input(self, given: Attributes) -> None:
        kind, name = given.get("type", "text"), given.get("name", "")
        if kind in ("submit", "button", "image", "reset"):
            return
        value = given.get("value", "on" if kind in ("radio", "checkbox") else "")
        if kind not in ("radio", "checkbox"):
            self._add(FormControl(name, kind, (value,), attributes=given))
            return
        before = self._form.fields.get(name) if self._form else None
        options = (*(before.options if before else ()), value)
        held = (*(before.values if before else ()), *((value,) if "checked" in given else ()))
        self._add(FormControl(name, kind, held, options, attributes=before.attributes if before else given))

    def _add(self, control: FormControl) -> None:
        if self._form is not None and control.name and "disabled" not in control.attributes:
            self._form.fields[control.name] = control
