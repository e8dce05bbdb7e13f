//! Who may depend on whom, over what Cargo really resolves.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, PackageId};

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .features(CargoOpt::AllFeatures)
        .other_options(vec!["--locked".to_owned()])
        .exec()
        .expect("cargo metadata")
}

/// Every package that `name` is built from, by normal dependencies, on any target.
fn closure(metadata: &Metadata, name: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("a resolved graph");
    let nodes: BTreeMap<&PackageId, _> =
        resolve.nodes.iter().map(|node| (&node.id, &node.deps)).collect();
    let start = metadata.packages.iter().find(|package| package.name.as_str() == name);
    let mut seen = BTreeSet::new();
    let mut open = vec![&start.expect("a member of the workspace").id];
    while let Some(id) = open.pop() {
        for dependency in nodes[id] {
            let normal =
                dependency.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal);
            if normal && seen.insert(dependency.pkg.clone()) {
                open.push(&dependency.pkg);
            }
        }
    }
    metadata
        .packages
        .iter()
        .filter(|package| seen.contains(&package.id))
        .map(|package| package.name.to_string())
        .collect()
}

#[test]
fn shared_is_pure() {
    let metadata = metadata();
    let built_from = closure(&metadata, "reelmill-shared");
    let impure: Vec<_> = built_from
        .iter()
        .filter(|name| {
            // proc-macro crates run at build time, and a UUID crate's optional sources of
            // randomness are features that only the edge turns on.
            ["tokio", "worker", "reqwest", "hyper", "axum", "async-std", "mio", "futures"]
                .contains(&name.as_str())
                || name.starts_with("aws-")
        })
        .collect();
    assert!(impure.is_empty(), "reelmill-shared must not depend on {impure:?}");

    let shared =
        metadata.packages.iter().find(|package| package.name.as_str() == "reelmill-shared");
    let direct: Vec<_> = shared
        .expect("shared")
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.as_str())
        .collect();
    for impure in ["rand", "getrandom", "fastrand", "walkdir", "tempfile", "log"] {
        assert!(!direct.contains(&impure), "reelmill-shared must not depend on {impure}");
    }
}

#[test]
fn gateway_and_handler_know_nothing_of_each_other() {
    let metadata = metadata();
    let gateway = closure(&metadata, "gateway-worker");
    assert!(!gateway.contains("gpu-handler"));
    let handler = closure(&metadata, "gpu-handler");
    assert!(!handler.contains("gateway-worker"));
    assert!(!handler.contains("worker"));
    for product in ["gateway-worker", "gpu-handler", "reelmill-shared"] {
        assert!(!closure(&metadata, product).contains("e2e"), "{product} is built from the tests");
    }
}

#[test]
fn no_package_turns_the_workspace_lints_off() {
    for package in metadata().workspace_packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).expect("a manifest");
        assert!(manifest.contains("[lints]\nworkspace = true"), "{}", package.name);
    }
}

/// The documentation lists every code that a caller can meet, with its status.
#[test]
fn every_code_is_documented() {
    let page = include_str!("../docs/api.md");
    for code in reelmill_shared::problem::ProblemCode::ALL {
        let row = format!("| `{}` | {} | {} |", code.as_str(), code.status(), code.title());
        assert!(page.contains(&row), "docs/api.md lacks: {row}");
    }
    for code in reelmill_shared::job::FailureCode::ALL {
        let transient = if code.is_transient() { "yes" } else { "no" };
        let row = format!("| `{code}` | {transient} |");
        assert!(page.contains(&row), "docs/api.md lacks: {row}");
    }
}

/// Every variable that gateway and handler read stands in the page about them.
#[test]
fn every_variable_is_documented() {
    let page = include_str!("../docs/configuration.md");
    let sources = [
        include_str!("../gateway-worker/src/config.rs"),
        include_str!("../gateway-worker/src/config/backends.rs"),
        include_str!("../gpu-handler/src/config.rs"),
        include_str!("../gpu-handler/src/config/gpu.rs"),
        include_str!("../gpu-handler/src/config/lambda.rs"),
        include_str!("../gpu-handler/src/config/aws.rs"),
        include_str!("../gpu-handler/src/config/runpod.rs"),
        include_str!("../gpu-handler/src/config/s3.rs"),
        include_str!("../gpu-handler/src/config/source.rs"),
    ];
    let code = sources.map(|source| source.split("#[cfg(test)]").next().unwrap_or_default());
    let words = code.iter().flat_map(|code| code.split('"'));
    // What the platform itself sets is nobody's to configure.
    let ours = |word: &&str| {
        [
            "REELMILL_",
            "HANDLER_",
            "S3_",
            "MAX_",
            "TIER_",
            "ALLOW_",
            "FF",
            "TOKEN_",
            "ROOT_",
            "PUBLIC_",
            "UPLOAD_",
            "LEASE_",
            "JOB_",
            "GPU_",
            "PREWARM",
            "BACKEND",
            "DISPATCH",
        ]
        .iter()
        .any(|prefix| word.starts_with(prefix))
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || b"_0123456789".contains(&byte))
    };
    let names: BTreeSet<&str> = words.filter(ours).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "docs/configuration.md lacks `{name}`");
    }
}
