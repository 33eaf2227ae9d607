//! Recompiles the service when a file appears in or vanishes from a folder that is compiled in.

fn main() {
    for folder in ["templates", "static", "migrations", "clickhouse"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
