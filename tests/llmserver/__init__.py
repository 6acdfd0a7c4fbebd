"""A stand-in for language models: OpenAI's, Anthropic's and Vertex AI's protocols on one port, answering as scripted.

    with ModelServer([Status(429), Answer({"headline": "...", "body": "..."})]) as server:
        ...  # point an unmodified client at server.base_url("openai")
    assert len(server.requests) == 2

The last step of a script is repeated for as long as somebody asks. Only what the clients of this project send is
modelled; every request is kept as it came.
"""

from llmserver.server import Answer, Garbage, ModelServer, Obedient, Protocol, Request, Slow, Status, Step

__all__ = ["Answer", "Garbage", "ModelServer", "Obedient", "Protocol", "Request", "Slow", "Status", "Step"]
