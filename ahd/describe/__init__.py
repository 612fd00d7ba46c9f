"""What the server offers, as documents: OpenAPI of the actions over HTTP, AsyncAPI of the verbs, Markdown for people.

All are made from the actions' own declarations. Pure: descriptions in, JSON values or text out.
"""

from ahd.describe.asyncapi import asyncapi
from ahd.describe.markdown import markdown
from ahd.describe.openapi import openapi

__all__ = ["asyncapi", "markdown", "openapi"]
