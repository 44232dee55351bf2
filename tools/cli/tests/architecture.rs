//! Holds the crate graph against the table in `docs/ARCHITECTURE.md`.
//!
//! Knows nothing of what the crates do: only who may name whom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    folder: String,
    normal: BTreeSet<String>,
    /// Dependencies for tests, and those behind a feature that is off by default.
    tests: BTreeSet<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("tools/cli has a root")
        .into()
}

fn names(cell: &str) -> BTreeSet<String> {
    cell.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn table() -> BTreeMap<String, Row> {
    let page = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the page");
    let mut rows = BTreeMap::new();
    let lines = page
        .lines()
        .skip_while(|line| !line.starts_with("| crate | folder |"))
        .skip(2);
    for line in lines.take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, folder, normal, tests] = cells[..] else {
            panic!("four cells in {line:?}")
        };
        let row = Row {
            folder: folder.to_owned(),
            normal: names(normal),
            tests: names(tests),
        };
        assert!(
            rows.insert(name.to_owned(), row).is_none(),
            "{name} stands twice"
        );
    }
    rows
}

fn graph() -> BTreeMap<String, Row> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata answers");
    let members: BTreeSet<String> = metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let mut rows = BTreeMap::new();
    for package in &metadata.packages {
        let folder = package
            .manifest_path
            .parent()
            .expect("a manifest has a folder");
        let folder = folder
            .strip_prefix(root())
            .expect("inside the workspace")
            .to_string();
        let mut row = Row {
            folder,
            ..Row::default()
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| members.contains(&d.name))
        {
            match dependency.kind {
                _ if dependency.optional => row.tests.insert(dependency.name.clone()),
                DependencyKind::Development => row.tests.insert(dependency.name.clone()),
                DependencyKind::Normal | DependencyKind::Build | DependencyKind::Unknown => {
                    row.normal.insert(dependency.name.clone())
                }
            };
        }
        row.tests = &row.tests - &row.normal;
        rows.insert(package.name.to_string(), row);
    }
    rows
}

#[test]
fn the_crate_graph_is_the_table_in_the_architecture_page() {
    assert_eq!(graph(), table());
}

#[test]
fn nothing_under_sdk_names_the_engine() {
    let graph = graph();
    let engine: BTreeSet<&String> = graph
        .iter()
        .filter(|(_, row)| row.folder.starts_with("engine/"))
        .map(|(name, _)| name)
        .collect();
    assert!(!engine.is_empty());
    for (name, row) in graph
        .iter()
        .filter(|(_, row)| row.folder.starts_with("sdk/"))
    {
        let named: Vec<_> = row
            .normal
            .iter()
            .filter(|other| engine.contains(other))
            .collect();
        assert!(named.is_empty(), "{name} names {named:?}");
    }
}

/// The one exception to the rule above, as the page writes it: a broker in the process of a user's test.
#[test]
fn the_one_optional_edge_is_the_clients_feature_for_tests() {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata answers");
    let optional: Vec<_> = metadata
        .packages
        .iter()
        .flat_map(|package| package.dependencies.iter().map(move |d| (package, d)))
        .filter(|(_, dependency)| dependency.optional && dependency.path.is_some())
        .map(|(package, dependency)| (package.name.as_str(), dependency.name.as_str()))
        .collect();
    assert_eq!(optional, [("highwater", "highwater-engine")]);
    let client = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "highwater")
        .expect("the client is there");
    let asks: Vec<_> = client
        .features
        .iter()
        .filter(|(_, wants)| wants.iter().any(|it| it == "dep:highwater-engine"))
        .map(|(feature, _)| feature.as_str())
        .collect();
    assert_eq!(asks, ["test-engine"]);
    let mut on = vec!["default"];
    while let Some(feature) = on.pop() {
        assert_ne!(feature, "test-engine", "the engine comes by default");
        let more = client.features.get(feature).into_iter().flatten();
        on.extend(more.map(String::as_str));
    }
}

#[test]
fn edges_point_down() {
    let graph = graph();
    // A graph without cycles has an order in which every crate comes after all it depends on.
    let mut placed: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = placed.len();
        for (name, row) in &graph {
            if row.normal.iter().all(|other| placed.contains(other)) {
                placed.insert(name.clone());
            }
        }
        if placed.len() == before {
            break;
        }
    }
    let stuck: Vec<_> = graph
        .keys()
        .filter(|name| !placed.contains(*name))
        .collect();
    assert!(stuck.is_empty(), "a cycle among {stuck:?}");
}
