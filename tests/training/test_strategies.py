"""The environment variable that names the workers, right and wrong."""

import json

import pytest

from unilmv2_tf.training.strategies import check_tf_config

HOSTS = ["10.0.0.1:2222", "worker-2.local:2223"]
TASK = {"type": "worker", "index": 0}


@pytest.mark.parametrize(
    "config",
    [
        {"cluster": {"worker": HOSTS}, "task": TASK},
        {"cluster": {"worker": HOSTS}, "task": {"type": "worker", "index": 1}},
        {"cluster": {"worker": HOSTS[:1]}, "task": TASK},
        {
            "cluster": {"chief": HOSTS[:1], "worker": HOSTS[1:]},
            "task": {"type": "chief", "index": 0},
        },
        {"cluster": {"worker": ["[::1]:2222"]}, "task": TASK},
    ],
)
def test_what_is_accepted(config):
    check_tf_config(json.dumps(config))


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "{'cluster': {}}",
        "[]",
        "3",
        '"worker"',
        "{}",
        '{"cluster": {}, "task": {}}',
        '{"cluster": ["a:1"], "task": {}}',
        '{"cluster": null}',
    ],
)
def test_texts_that_are_no_cluster(text):
    with pytest.raises(ValueError, match="TF_CONFIG must name") as error:
        check_tf_config(text)
    assert f"TF_CONFIG={text!r}" in str(error.value)


@pytest.mark.parametrize(
    "cluster",
    [
        {"worker": "a:1"},
        {"worker": None},
        {"worker": [["a:1"]]},
        {"worker": [2222]},
        {"worker": ["host"]},
        {"worker": ["host:"]},
        {"worker": [":2222"]},
        {"worker": ["host:port"]},
        {"worker": ["host:0"]},
        {"worker": ["host:65536"]},
        {"worker": ["host:-1"]},
        {"worker": [*HOSTS, "host"]},
        {"worker": []},
        {"ps": HOSTS},
        {"worker": HOSTS, "evaluator": ["a:1"]},
    ],
)
def test_clusters_that_are_wrong(cluster):
    with pytest.raises(ValueError, match="TF_CONFIG must name"):
        check_tf_config(json.dumps({"cluster": cluster, "task": TASK}))


@pytest.mark.parametrize(
    "task",
    [
        None,
        [],
        "worker",
        {},
        {"type": "worker"},
        {"index": 0},
        {"type": "chief", "index": 0},
        {"type": ["worker"], "index": 0},
        {"type": "worker", "index": "0"},
        {"type": "worker", "index": 0.0},
        {"type": "worker", "index": True},
        {"type": "worker", "index": -1},
        {"type": "worker", "index": 2},
    ],
)
def test_tasks_that_are_wrong(task):
    with pytest.raises(ValueError, match="TF_CONFIG must name"):
        check_tf_config(
            json.dumps({"cluster": {"worker": HOSTS}, "task": task})
        )
