use super::*;

#[test]
fn whoever_refused_is_named() {
    let silent = |name: &str| Some(Admission::Silent(name.into()));
    let table = [
        (
            "Internal error occurred: failed calling webhook \"validate.kyverno.svc-fail\": failed to call webhook: Post \
                 \"https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s\": no endpoints available for service \"kyverno-svc\"",
            silent("validate.kyverno.svc-fail"),
        ),
        (
            "Timeout: request did not complete within requested timeout - context deadline exceeded; failed calling webhook \
                 \"check.example.com\": context deadline exceeded",
            silent("check.example.com"),
        ),
        (
            "admission webhook \"validation.gatekeeper.sh\" denied the request: [must] no",
            Some(Admission::Denied("validation.gatekeeper.sh".into())),
        ),
        (
            "nodes \"n1\" is forbidden: ValidatingAdmissionPolicy 'no' with binding 'no' denied request: because",
            Some(Admission::Policy("no".into())),
        ),
        ("nodes \"n1\" is forbidden: User \"x\" cannot patch", None),
        ("", None),
    ];
    for (message, expected) in table {
        assert_eq!(Admission::named(message), expected, "{message}");
    }
}
