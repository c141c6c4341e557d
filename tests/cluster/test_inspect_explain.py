"""`ironbucket explain` and `ironbucket conflicts` where two nodes wrote the same key at once."""

from __future__ import annotations

from tests.cluster.inspected import Nodes, asked, client, cluster, replicate


def test_what_lost_is_told_the_same_on_every_node(nodes: Nodes) -> None:
    one, two = cluster(nodes)
    one.start()
    two.start()
    client(one).create_bucket(Bucket="photos")
    replicate(one)
    client(one).put_object(Bucket="photos", Key="a", Body=b"first")
    client(two).put_object(Bucket="photos", Key="a", Body=b"second, and so the winner")
    client(one).put_object(Bucket="photos", Key="b", Body=b"alone")
    replicate(one, two)
    stories = [asked(node, "explain", "photos/a") for node in (one, two)]
    assert stories[0]["records"] == stories[1]["records"]
    for node, story in zip((one, two), stories, strict=True):
        (lost,) = story["conflicts"]
        winner = story["current"]
        assert (lost["node"], lost["size"]) == ("node-1", 5)
        assert lost["lost_to"]["version"] == winner["version"]
        assert [record["outcome"] for record in story["records"]] == [
            "current",
            f"lost to {winner['version']} of node-2",
        ]
        (listed,) = asked(node, "conflicts")
        assert listed["version"] == lost["version"]
        assert asked(node, "status")["index"]["conflicts"] == 1
        text = node.run("explain", "photos/a").stdout
        assert "conflict  PUT of node-1" in text
        assert "through node-2" in text
        assert "photos/a" in node.run("conflicts").stdout
