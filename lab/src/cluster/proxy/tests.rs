use super::*;

#[test]
fn requests_are_named_by_verb_and_resource() {
    let cases = [
        (Method::GET, "/api/v1/nodes?limit=100", "list nodes"),
        (
            Method::GET,
            "/api/v1/nodes?limit=1&watch=true",
            "watch nodes",
        ),
        (Method::GET, "/api/v1/nodes/n1", "get nodes"),
        (Method::PATCH, "/api/v1/nodes/n1", "patch nodes"),
        (
            Method::PATCH,
            "/api/v1/nodes/n1/status",
            "patch nodes/status",
        ),
        (
            Method::PUT,
            "/api/v1/namespaces/a/configmaps/b",
            "update configmaps",
        ),
        (
            Method::POST,
            "/api/v1/namespaces/a/pods/b/eviction",
            "create pods/eviction",
        ),
        (
            Method::GET,
            "/apis/coordination.k8s.io/v1/namespaces/a/leases/b",
            "get leases",
        ),
        (
            Method::POST,
            "/apis/events.k8s.io/v1/namespaces/a/events",
            "create events",
        ),
        (Method::GET, "/api/v1/namespaces", "list namespaces"),
    ];
    for (method, uri, expected) in cases {
        assert_eq!(what(&method, &uri.parse().unwrap()), expected, "{uri}");
    }
}
