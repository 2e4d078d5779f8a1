"""The installation for one namespace, and the network policies: what they allow and whom they name."""

from typing import Any

from rvc_operator.api.names import DIRECT_LABEL, Component, labels

from .documents import MANIFESTS, build, one, some

NAMESPACED = MANIFESTS / "overlays/namespaced"
FORBIDDEN = {"secrets", "configmaps", "pods/exec", "pods/attach", "pods/portforward", "pods/log", "nodes"}


def test_one_namespace_and_nothing_beside_it() -> None:
    objects = build(NAMESPACED)
    assert {item["metadata"]["namespace"] for item in objects} == {"voices"}
    kinds = {item["kind"] for item in objects}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Namespace", "CustomResourceDefinition"}
    container = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    served = next(each for each in container["env"] if each["name"] == "RVC_NAMESPACES")
    assert served["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"


def test_the_role_is_that_of_the_cluster_and_bound_to_the_operator() -> None:
    objects = build(NAMESPACED)
    roles = {role["metadata"]["name"]: role["rules"] for role in some(objects, "Role")}
    assert roles["rvc-operator"] == one(build(MANIFESTS / "base"), "ClusterRole")["rules"]
    for binding in some(objects, "RoleBinding"):
        assert binding["roleRef"]["kind"] == "Role"
        assert binding["roleRef"]["name"] in roles
        (subject,) = binding["subjects"]
        assert (subject["name"], subject["namespace"]) == ("rvc-operator", "voices")


def test_no_installation_may_read_more_secrets_or_enter_pods() -> None:
    for folder in (MANIFESTS / "base", NAMESPACED, MANIFESTS / "overlays/acs", MANIFESTS / "overlays/local"):
        for role in (*some(build(folder), "ClusterRole"), *some(build(folder), "Role")):
            for rule in role["rules"]:
                touched = FORBIDDEN & set(rule["resources"])
                own = (rule.get("resourceNames"), rule["verbs"]) == (["rvc-operator-key"], ["get", "patch"])
                assert not touched or (own and role["kind"] == "Role"), (folder, rule)


def chosen(policy: dict[str, Any], pod: dict[str, str]) -> bool:
    """Whether a policy is about pods with these labels."""
    selector = policy["spec"]["podSelector"]
    return all(pod.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        pod.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", [])
    )


def test_network_policies_choose_the_pods_of_voices_and_no_others() -> None:
    policies = some(build(MANIFESTS / "network-policies"), "NetworkPolicy")
    callers, operator = sorted(policies, key=lambda policy: "from" in policy["spec"]["ingress"][0])
    trainer, server = labels("alice", Component.TRAINER), labels("alice", Component.SERVER)
    assert [chosen(operator, pod) for pod in (trainer, server, {"app": "other"})] == [True, True, False]
    direct = server | {DIRECT_LABEL: "true"}
    assert [chosen(callers, pod) for pod in (trainer, server, direct)] == [False, False, True]


def test_network_policies_let_the_operator_in_and_everything_out() -> None:
    for folder, namespace in ((MANIFESTS / "overlays/acs", "rvc-system"), (NAMESPACED, "voices")):
        objects = build(folder)
        pod = one(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
        for policy in some(objects, "NetworkPolicy"):
            assert policy["metadata"]["namespace"] == "voices"
            assert policy["spec"]["policyTypes"] == ["Ingress"]
            (rule,) = policy["spec"]["ingress"]
            assert rule["ports"] == [{"port": 8080, "protocol": "TCP"}]
            for peer in rule.get("from", []):
                named = peer["namespaceSelector"]["matchLabels"]
                assert named == {"kubernetes.io/metadata.name": namespace}
                assert peer["podSelector"]["matchLabels"].items() <= pod.items()
