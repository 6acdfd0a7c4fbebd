"""Which names a route knows in its URL and in its body, for whoever mistypes one or sends one that does nothing."""

from fastapi.routing import APIRoute
from pydantic import BaseModel


def of_url(route: APIRoute) -> tuple[str, ...]:
    """The names that its URL may have, in the order of its documentation."""
    names: list[str] = []
    for field in route.dependant.query_params:
        names += _fields_of(field.field_info.annotation) or [field.alias]
    return tuple(names)


def of_body(route: APIRoute) -> tuple[str, ...]:
    """The names at the top of its body; none for a route that takes none."""
    return tuple(_fields_of(route.body_field.field_info.annotation)) if route.body_field else ()


def _fields_of(model: object) -> list[str]:
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]
