"""Accounting journals: the form people fill in, the document Workday takes, what it gives back.

Source: Workday Web Services, Financial_Management: Submit_Accounting_Journal, Get_Journals. The
ID of a journal is ours to choose; with Add_Only a second one with the same ID is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Self

import msgspec
from pydantic import Field, model_validator

from gl002.action import ActionForm
from gl002.config.settings import Settings
from gl002.errors import DataError
from gl002.transport.workday.settings import WorkdayConfig
from gl002.wire.workday import Id, add, flag, id_of, name, refer, request
from gl002.wire.xml import Element, first, text_of

JOURNAL_ID = "Accounting_Journal_ID"
Amount = Annotated[Decimal, Field(gt=0, max_digits=18, decimal_places=3)]


class JournalLine(Settings):
    """One line: an amount on one side of an account."""

    account: str = Field(min_length=1, description="Ledger_Account_ID.")
    debit: Amount | None = Field(None, description="Amount on this side,")
    credit: Amount | None = Field(None, description="or on that.")
    memo: str = Field("", max_length=255, description="For people.")
    cost_center: str = Field("", description="Cost_Center_Reference_ID.")
    worktags: dict[str, str] = Field(
        {}, description="Type of ID -> ID: {Spend_Category_ID: FUEL, Project_ID: B1}."
    )

    @model_validator(mode="after")
    def _one_side(self) -> Self:
        if (self.debit is None) == (self.credit is None):
            raise ValueError("a line takes a debit or a credit, one of them")
        return self

    @property
    def tags(self) -> Mapping[str, str]:
        """All worktags."""
        own = {"Cost_Center_Reference_ID": self.cost_center} if self.cost_center else {}
        return {**own, **self.worktags}


class JournalForm(ActionForm):
    """A journal: what is posted, and where."""

    memo: str = Field(min_length=1, max_length=255, description="What it is about.")
    date_: date | None = Field(
        None, alias="date", description="Accounting date; where absent today, local time."
    )
    company: str = Field("", description="Company_Reference_ID; as configured where absent.")
    currency: str = Field("", max_length=3, description="Currency_ID; as configured where absent.")
    lines: list[JournalLine] = Field(min_length=2, max_length=1000, description="Its lines.")

    @model_validator(mode="after")
    def _balanced(self) -> Self:
        debits = sum((line.debit or Decimal(0) for line in self.lines), Decimal(0))
        credits_ = sum((line.credit or Decimal(0) for line in self.lines), Decimal(0))
        if debits != credits_:
            raise ValueError(f"the lines do not balance: {debits} debit, {credits_} credit")
        return self


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """A journal there.

    Attributes:
        id: the ID that it was given.
        number: as Workday counts; '' where it is not known yet.
        status: '' likewise.
    """

    id: str
    number: str = ""
    status: str = ""


def submission(form: JournalForm, key: str, config: WorkdayConfig) -> Element:
    """The request that posts a journal.

    Args:
        form: filled in.
        key: becomes its ID; '' lets Workday choose.
        config: what the form leaves open.

    Raises:
        DataError: company or journal source is given nowhere.
    """
    made = request("Submit_Accounting_Journal_Request", config.version)
    if key:
        made.set(name("Add_Only"), "true")
    data = add(made, "Accounting_Journal_Data")
    if key:
        add(data, JOURNAL_ID, key)
    add(data, "Submit", flag(config.submit))
    refer(data, "Company_Reference", Id("Company_Reference_ID",
        _given(form.company or config.company, "company")))  # fmt: skip
    if form.currency or config.currency:
        refer(data, "Currency_Reference", Id("Currency_ID", form.currency or config.currency))
    refer(data, "Ledger_Type_Reference", Id("Ledger_Type_ID", config.ledger))
    day = form.date_ or datetime.now().astimezone().date()  # the plant's day, and its period
    add(data, "Accounting_Date", day.isoformat())
    refer(data, "Journal_Source_Reference", Id("Journal_Source_ID",
        _given(config.journal_source, "journal_source")))  # fmt: skip
    add(data, "Journal_Entry_Memo", form.memo)
    if key:
        add(data, "External_Reference_ID", key)
    for number, line in enumerate(form.lines, 1):
        _line(data, number, line, config)
    return made


def _given(value: str, field: str) -> str:
    if not value:
        raise DataError(
            f"a journal takes a {field}", hint=f"set '{field}' in the configuration of Workday"
        )
    return value


def _line(data: Element, number: int, line: JournalLine, config: WorkdayConfig) -> None:
    made = add(data, "Journal_Entry_Line_Replacement_Data")
    add(made, "Line_Order", str(number))
    chart = Id("Account_Set_ID", config.account_set)
    refer(made, "Ledger_Account_Reference", Id("Ledger_Account_ID", line.account, chart))
    if line.debit is not None:
        add(made, "Debit_Amount", f"{line.debit:f}")
    if line.credit is not None:
        add(made, "Credit_Amount", f"{line.credit:f}")
    if line.memo:
        add(made, "Memo", line.memo)
    for type_, value in line.tags.items():
        refer(made, "Worktags_Reference", Id(type_, value))


def submitted(response: Element, key: str) -> Journal:
    """What Workday made of it."""
    found = id_of(first(response, "Accounting_Journal_Reference"), JOURNAL_ID, "WID")
    return Journal(id=found or key)


def question(key: str, config: WorkdayConfig) -> Element:
    """The request that looks for a journal by its ID.

    The reference's name has no underscores, as only here in these services.
    """
    made = request("Get_Journals_Request", config.version)
    refer(add(made, "Request_References"), "JournalEntryReference", Id(JOURNAL_ID, key))
    return made


def found(response: Element, key: str) -> Journal | None:
    """The journal with that ID in an answer."""
    for entry in response.iter(name("Journal_Entry")):
        if id_of(first(entry, "Journal_Entry_Reference"), JOURNAL_ID) == key:
            data = first(entry, "Journal_Entry_Data")
            return Journal(
                id=key,
                number=text_of(first(data, "Journal_Number")),
                status=id_of(
                    first(data, "Journal_Status_Reference"), "Journal_Entry_Status_ID", "WID"
                ),
            )
    return None
