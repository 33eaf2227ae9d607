//! What carries the service to other machines: the image's context, the compose files, the Debian package.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use mohaa_stats::config::SETTINGS;

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// What the image's build can't see breaks it there, and nowhere else.
#[test]
fn the_image_is_built_of_files_that_its_context_has() {
    let ignored = read(".dockerignore");
    let kept: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    // Cargo wants to see every member of the workspace, whichever is built.
    let members = workspace["workspace"]["members"].as_array().unwrap();
    let members = members.iter().map(|member| member.as_str().unwrap()).filter(|member| *member != ".");
    let build = read("build.rs");
    let folders = build.split("for folder in [").nth(1).unwrap().split(']').next().unwrap();
    let folders: Vec<&str> = folders.split(',').map(|folder| folder.trim().trim_matches('"')).collect();
    assert!(folders.contains(&"templates"), "{folders:?}");
    for path in ["Cargo.toml", "Cargo.lock", "build.rs", "src"].into_iter().chain(folders).chain(members) {
        let is_kept = kept.contains(path) || path.split_once('/').is_some_and(|(top, _)| kept.contains(top));
        assert!(is_kept && Path::new(path).exists(), "{path} is not in the context of the image");
    }
}

/// A misspelt name would be silently without effect.
#[test]
fn the_compose_file_sets_nothing_that_the_service_does_not_read() {
    let compose = read("docker-compose.yml");
    let service = compose.split("\n  api:\n").nth(1).unwrap().split("\n  postgres:\n").next().unwrap();
    let environment =
        service.split("    environment:\n").nth(1).unwrap().split("\n    secrets:").next().unwrap();
    let names: Vec<&str> = environment
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| Some(line.split_once(':')?.0))
        .collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        let setting = name.strip_suffix("_FILE").unwrap_or(name);
        let is_known = SETTINGS.iter().any(|known| known.name == setting);
        assert!(is_known || matches!(name, "LOG_FORMAT" | "RUST_LOG"), "{name} is no setting");
    }
}

#[test]
fn the_packages_configuration_is_understood_as_it_is_and_with_all_that_it_suggests() {
    let given = read("ops/debian/mohaa-stats.toml");
    let suggested: String = given
        .lines()
        .map(|line| {
            let is_setting = line.starts_with('#') && line.contains(" = ");
            format!("{}\n", if is_setting { &line[1..] } else { line })
        })
        .collect();
    assert!(suggested.lines().any(|line| line.starts_with("postgres_url")), "{suggested}");
    let directory = tempfile::tempdir().unwrap();
    for text in [given, suggested] {
        // The folder of the package is not this machine's.
        let text = text.replace("/var/lib/mohaa-stats", directory.path().to_str().unwrap());
        let path = directory.path().join("mohaa-stats.toml");
        std::fs::write(&path, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_mohaa-stats"))
            .args(["config", "--config"])
            .arg(&path)
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The files that the Debian package is told to ship, and where it puts each; a pattern stands for all of a folder that end alike.
fn packaged_files() -> BTreeMap<String, String> {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let mut files = BTreeMap::new();
    for asset in assets {
        let [asset, target] = [0, 1].map(|part| asset[part].as_str().unwrap());
        let sources = match asset.split_once("/*") {
            None => vec![asset.to_owned()],
            Some((folder, end)) => std::fs::read_dir(folder)
                .unwrap_or_else(|error| panic!("{folder}: {error}"))
                .map(|entry| format!("{folder}/{}", entry.unwrap().file_name().display()))
                .filter(|path| path.ends_with(end))
                .collect(),
        };
        assert!(!sources.is_empty(), "nothing is {asset}");
        for source in sources {
            let name = source.rsplit('/').next().unwrap();
            let installed =
                if target.ends_with('/') { format!("/{target}{name}") } else { format!("/{target}") };
            files.insert(installed, source);
        }
    }
    files
}

#[test]
fn the_package_ships_files_that_are_there() {
    let files = packaged_files();
    assert!(files.len() > 20, "{files:?}");
    // What is built is not there before.
    for source in files.values().filter(|source| !source.starts_with("target/")) {
        assert!(Path::new(source).is_file(), "{source} is not there");
    }
}

/// Who installs the package has nothing else of this repository.
#[test]
fn paths_of_the_package_that_its_files_and_the_operators_handbook_name_are_in_it() {
    let files = packaged_files();
    let is_of_path = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    let mut named = 0;
    let unit = "ops/systemd/mohaa-stats.service".to_owned();
    let texts = files.values().filter(|source| !source.starts_with("target/")).chain([&unit]);
    for source in texts {
        let text = read(source);
        let words = text.split(|character| !is_of_path(character));
        let paths = words.filter(|word| word.starts_with("/usr/share/") && word.contains("/mohaa-stats"));
        for path in paths.map(|path| path.trim_end_matches(['/', '.'])) {
            named += 1;
            let is_there = files.keys().any(|file| {
                file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            assert!(is_there, "{source} names {path}, which the package does not bring");
        }
    }
    assert!(named > 10, "{named}");
}

#[test]
fn the_packages_prometheus_asks_where_the_packages_service_answers() {
    let settings: toml::Table = read("ops/debian/mohaa-stats.toml").parse().unwrap();
    let address = settings["ops_listen"].as_str().unwrap();
    let prometheus = read("ops/debian/prometheus.yml");
    let job = prometheus.split("- job_name: mohaa-stats\n").nth(1).unwrap();
    assert!(
        job.trim_start().starts_with(&format!("static_configs:\n      - targets: [{address}]\n")),
        "{job}"
    );
}

/// What is left of a YAML file without comments and what stands before and behind a key at its left edge.
fn yaml_section(text: &str, key: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.is_empty());
    let from_key = lines.skip_while(|line| *line != format!("{key}:")).skip(1);
    from_key.take_while(|line| line.starts_with(' ')).collect::<Vec<_>>().join("\n")
}

/// Rules and dashboards are the same everywhere, and reckon with how often is scraped and what jobs are called.
#[test]
fn every_prometheus_scrapes_nodes_alike_and_has_all_rules() {
    let expected = yaml_section(&read("ops/prometheus/prometheus.yml"), "global");
    assert!(expected.contains("scrape_interval: 15s"), "{expected}");
    for path in ["ops/prometheus/prometheus.yml", "ops/debian/prometheus.yml", "ops/cluster/prometheus.yml"] {
        let text = read(path);
        assert_eq!(yaml_section(&text, "global"), expected, "{path}");
        assert!(text.contains("\n  - job_name: mohaa-stats\n"), "{path}");
        let rules = yaml_section(&text, "rule_files");
        for name in ["recording.yml", "alerts.yml"] {
            assert!(rules.lines().any(|line| line.ends_with(name)), "{path} does without {name}");
        }
    }
}

#[test]
fn the_clusters_prometheus_asks_every_node() {
    let (compose, prometheus) = (read("ops/cluster/docker-compose.yml"), read("ops/cluster/prometheus.yml"));
    let port = compose.split("OPS_LISTEN: 0.0.0.0:").nth(1).unwrap().lines().next().unwrap();
    let lines: Vec<&str> = compose.lines().collect();
    let nodes = lines.windows(2).filter(|pair| pair[1].trim() == "<<: *node");
    let targets: Vec<String> = nodes.map(|pair| format!("{}{port}", pair[0].trim())).collect();
    assert!(targets.len() > 1, "{targets:?}");
    let expected =
        format!("- job_name: mohaa-stats\n    static_configs:\n      - targets: [{}]\n", targets.join(", "));
    assert!(prometheus.contains(&expected), "not among the targets: {expected}");
}

/// What was tried with one of them is what the other runs.
#[test]
fn compose_files_pin_the_same_versions() {
    let [single, cluster] = ["docker-compose.yml", "ops/cluster/docker-compose.yml"].map(|path| {
        let text = read(path);
        let images = text.lines().filter_map(|line| line.trim().strip_prefix("image: ")?.rsplit_once(':'));
        images.map(|(image, version)| (image.to_owned(), version.to_owned())).collect::<BTreeMap<_, _>>()
    });
    let shared: Vec<&String> = single.keys().filter(|image| cluster.contains_key(*image)).collect();
    assert!(shared.len() > 6, "{shared:?}");
    for image in shared {
        assert_eq!(single[image], cluster[image], "{image}");
    }
}
