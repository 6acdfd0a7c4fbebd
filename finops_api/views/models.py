"""The questions and answers of `/v1/views`."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field, field_validator

from finops_api.views import address
from finops_warehouse.budgets import Name

MAX_VIEWS = 200


class ViewPlan(BaseModel):
    """What to keep under which name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name = Field(examples=["Shop by SKU"])
    query: str = Field(
        max_length=address.MAX_LENGTH,
        description="The address of the dashboard after its `?`: `by=sku&f=project:nw-shop-prod`. Empty: as it opens.",
        examples=["period=30d&by=sku&f=project:nw-shop-prod"],
    )
    shared: bool = Field(default=False, strict=True, description="Whether everybody who sees every row sees it, too.")

    @field_validator("query")
    @classmethod
    def _is_an_address(cls, query: str) -> str:
        _, spelt = address.read(query)
        return spelt


class ViewInfo(BaseModel):
    """A view that was kept."""

    view_id: int
    name: str
    query: str = Field(description="Opens it: `/?` and this.")
    costs: str = Field(description="The same question, to be asked of the API.")
    shared: bool
    owner: str
    is_yours: bool
    created_at: datetime
    updated_at: datetime


class ViewPage(BaseModel):
    """Your views and those that are shared, in the order of their names."""

    items: list[ViewInfo]
