//! What carries the service to other machines: the image's context, the compose file, the Debian package.

use std::collections::BTreeSet;
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
