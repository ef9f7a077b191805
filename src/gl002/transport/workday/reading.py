"""Workers and cost centres, page by page.

Source: Workday Web Services, Human_Resources (Get_Workers), Financial_Management
(Get_Cost_Centers).
"""

from __future__ import annotations

import msgspec

from gl002.transport.workday.settings import WorkdayConfig
from gl002.wire.workday import Id, Moment, add, children, id_of, page, refer, request
from gl002.wire.xml import Element, first, text_of

_TRUE = {"1", "true"}


class Worker(msgspec.Struct, frozen=True, kw_only=True):
    """An employee or contingent worker.

    Attributes:
        id: Employee_ID, or Contingent_Worker_ID.
        name: as Workday shows it.
        title: of the primary position; '' where it may not be seen.
        active: whether they work here now; None where it may not be seen.
        organizations: IDs of those they belong to: crew, cost centre, company.
    """

    id: str
    name: str
    title: str = ""
    active: bool | None = None
    organizations: tuple[str, ...] = ()


class CostCenter(msgspec.Struct, frozen=True, kw_only=True):
    """A cost centre.

    Attributes:
        id: Cost_Center_Reference_ID.
        name: for people.
        active: whether something may be posted to it.
    """

    id: str
    name: str
    active: bool


def workers_request(
    config: WorkdayConfig, number: int, at: Moment, *, organization: str
) -> Element:
    """One page of Get_Workers.

    Args:
        config: version and size of a page.
        number: of the page, from 1.
        at: as of when.
        organization: Organization_Reference_ID, a crew; '' for all.
    """
    made = request("Get_Workers_Request", config.version)
    criteria = add(made, "Request_Criteria")
    if organization:
        refer(criteria, "Organization_Reference", Id("Organization_Reference_ID", organization))
        add(criteria, "Include_Subordinate_Organizations", "true")
    add(criteria, "Exclude_Inactive_Workers", "true")
    page(made, number, config.page_size, at)
    group = add(made, "Response_Group")
    for part in ("Reference", "Employment_Information", "Organizations"):
        add(group, f"Include_{part}", "true")
    return made


def workers_of(response: Element) -> list[Worker]:
    """The workers of an answer."""
    return [_worker(e) for e in children(first(response, "Response_Data"), "Worker")]


def _worker(element: Element) -> Worker:
    data = first(element, "Worker_Data")
    job = first(data, "Employment_Data", "Worker_Job_Data", "Position_Data")
    active = text_of(first(data, "Employment_Data", "Worker_Status_Data", "Active"))
    reference = first(element, "Worker_Reference")
    belongs = children(first(data, "Organization_Data"), "Worker_Organization_Data")
    organizations = (
        id_of(first(e, "Organization_Reference"), "Organization_Reference_ID") for e in belongs
    )
    return Worker(
        id=text_of(first(data, "Worker_ID"))
        or id_of(reference, "Employee_ID", "Contingent_Worker_ID", "WID"),
        name=text_of(first(element, "Worker_Descriptor")),
        title=text_of(first(job, "Business_Title")) or text_of(first(job, "Position_Title")),
        active=active in _TRUE if active else None,
        organizations=tuple(o for o in organizations if o),
    )


def cost_centers_request(config: WorkdayConfig, number: int, at: Moment) -> Element:
    """One page of Get_Cost_Centers."""
    made = request("Get_Cost_Centers_Request", config.version)
    page(made, number, config.page_size, at)
    return made


def cost_centers_of(response: Element) -> list[CostCenter]:
    """The cost centres of an answer."""
    return [_cost_center(e) for e in children(first(response, "Response_Data"), "Cost_Center")]


def _cost_center(element: Element) -> CostCenter:
    data = first(element, "Cost_Center_Data", "Organization_Data")
    return CostCenter(
        id=id_of(
            first(element, "Cost_Center_Reference"),
            "Cost_Center_Reference_ID", "Organization_Reference_ID", "WID",
        ),
        name=text_of(first(data, "Organization_Name")),
        active=text_of(first(data, "Organization_Active")) in _TRUE,
    )  # fmt: skip
