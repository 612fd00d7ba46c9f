"""The nodes of a system."""

from __future__ import annotations

from tests.contract.conftest import Subject


async def test_a_node_tells_of_itself(subject: Subject) -> None:
    nodes = subject.store.nodes
    figures = {"connections": 3}
    nodes.introduce("fingerprint", lambda: figures)
    figures["connections"] = 4
    (node,) = await nodes.all()
    assert node.id == nodes.id
    assert node.configuration == "fingerprint"
    assert node.figures == {"connections": 4}
    assert node.started_at <= node.seen_at
