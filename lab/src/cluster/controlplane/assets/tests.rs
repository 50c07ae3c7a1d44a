use super::*;

#[test]
fn the_version_comes_from_the_module_that_is_built() {
    let flags = linker_flags().unwrap();
    let (version, ..) = required_version(KUBERNETES_MODULE.go_mod).unwrap();
    assert_eq!(
        flags.matches(&format!(".gitVersion=v{version} ")).count(),
        2,
        "both packages that programs ask: {flags}"
    );
    let pinned = format!(" {}", version.replacen("1.", "v0.", 1));
    let staging: Vec<&str> = KUBERNETES_MODULE
        .go_mod
        .lines()
        .filter(|line| line.contains("=>"))
        .collect();
    assert_eq!(
        staging
            .iter()
            .filter(|line| line.ends_with(&pinned))
            .count(),
        staging.len(),
        "{staging:#?}"
    );
}

#[test]
fn what_is_built_decides_the_place_in_the_cache() {
    let all = [ETCD, KUBECTL];
    let keys = [key(&all, "-s"), key(&all, "-w"), key(&all[..1], "-s")];
    assert_eq!(keys[0], key(&[ETCD, KUBECTL], "-s"));
    assert!(keys[0] != keys[1] && keys[0] != keys[2], "{keys:?}");
}
