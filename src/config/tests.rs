#![allow(clippy::unwrap_used)]

use super::*;
use std::{collections::HashSet, ffi::OsString, fs};

const GOOD_SECRET: &str = "0f8a3c5e7b9d1f2a4c6e8b0d3f5a7c9e";

#[test]
fn the_help_names_every_kind_of_call_that_can_be_limited() {
    let setting = SETTINGS.iter().find(|setting| setting.name == "RATE_LIMITS").unwrap();
    for calls in ["ingest", "events", "quota", "api", "auth", "register"] {
        assert!(setting.allowed.contains(calls), "{calls} is not among what is allowed");
        assert!(setting.meaning.contains(calls), "{calls} is not explained");
    }
}

/// What a test says in each place, over a fresh data directory.
struct Given {
    sources: Sources,
    directory: tempfile::TempDir,
}

impl Given {
    fn nothing() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let given = Self { sources: Sources::default(), directory };
        let data_dir = given.path("data");
        given.environment("DATA_DIR", data_dir.to_str().unwrap())
    }

    fn what_a_service_needs() -> Self {
        Self::nothing()
            .environment("POSTGRES_URL", "postgres://mohaa:s3cret@db/mohaa")
            .environment("CLICKHOUSE_URL", "http://mohaa:s3cret@store:8123/mohaa")
            .environment("REDIS_URL", "redis://:s3cret@cache")
            .environment("JWT_SECRET", GOOD_SECRET)
    }

    fn flag(mut self, name: &str, value: &str) -> Self {
        self.sources.flags.insert(name.to_owned(), value.to_owned());
        self
    }

    fn environment(mut self, name: &str, value: &str) -> Self {
        self.sources.environment.insert(name.to_owned(), OsString::from(value));
        self
    }

    fn file(mut self, content: &str) -> Self {
        let path = self.path("mohaa.toml");
        fs::write(&path, content).unwrap();
        self.sources.config_file = Some(path);
        self
    }

    fn stores_file(self, content: &str) -> Self {
        fs::create_dir_all(self.path("data")).unwrap();
        fs::write(self.path("data").join(STORES_FILE), content).unwrap();
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn load(&self, purpose: Purpose) -> Result<Loaded, ConfigError> {
        Config::load(&self.sources, purpose)
    }

    fn mistakes(&self, purpose: Purpose) -> Vec<Mistake> {
        match self.load(purpose) {
            Err(ConfigError::Mistakes(mistakes)) => mistakes.0,
            other => panic!("expected mistakes, found {other:?}"),
        }
    }
}

fn shown<'a>(loaded: &'a Loaded, name: &str) -> &'a Effective {
    loaded.effective.iter().find(|effective| effective.name == name).unwrap()
}

#[test]
fn the_defaults_are_those_that_are_documented() {
    let config = Given::what_a_service_needs().load(Purpose::SERVE).unwrap().config;
    assert_eq!(config.listen().to_string(), "0.0.0.0:8080");
    assert_eq!((config.worker_count, config.worker_queue_events), (2, 10_000));
    assert_eq!((config.worker_batch_rows, config.worker_batch_max_rows), (20_000, 200_000));
    assert_eq!(config.worker_flush_interval, Duration::from_millis(500));
    assert_eq!((config.ingest_max_body_bytes, config.ingest_max_events), (1 << 20, 5_000));
    assert_eq!(config.ingest_chunk_timeout, Duration::from_secs(10));
    assert_eq!(config.spool_fsync, SpoolFsync::Interval(Duration::from_millis(100)));
    assert_eq!((config.spool_max_bytes, config.spool_segment_bytes), (4 << 30, 64 << 20));
    assert_eq!(config.event_time_past, Duration::from_secs(7 * 86_400));
    assert_eq!(config.event_time_future, Duration::from_secs(300));
    assert_eq!(config.raw_events_ttl_days, 0);
    assert_eq!(config.registration_policy, RegistrationPolicy::Closed);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(20));
    assert_eq!(config.spool_dir(), config.data_dir.join("spool"));
    assert!(!config.server_query && config.trusted_proxies.is_empty() && !config.rate_limits.0.is_empty());
}

#[test]
fn a_service_with_its_own_stores_needs_no_setting() {
    let config = Given::nothing().load(Purpose::SERVE_WITH_OWN_STORES).unwrap().config;
    assert_eq!(config.listen().to_string(), "127.0.0.1:8080");
    assert!(config.rate_limits.0.is_empty());
    assert!(config.store_urls().is_none());
}

#[test]
fn every_mistake_is_told_at_once() {
    let mistakes = Given::nothing()
        .environment("WORKER_COUNT", "zero")
        .environment("JWT_SECRET", "too short")
        .environment("WORKER_FLUSH_INTERVAL", "500")
        .environment("POSTGRES_URL", "mysql://mohaa:s3cret@db/mohaa")
        .flag("SPOOL_FSYNC", "sometimes")
        .file("worker_cuont = 2\nport = 99999\ndiscord_client_id = 'x'\n[table]\n")
        .mistakes(Purpose::SERVE);
    let names: Vec<&str> = mistakes.iter().map(|mistake| mistake.name.as_str()).collect();
    let expected = [
        "table",
        "worker_cuont",
        "PORT",
        "POSTGRES_URL",
        "CLICKHOUSE_URL",
        "REDIS_URL",
        "WORKER_COUNT",
        "WORKER_FLUSH_INTERVAL",
        "SPOOL_FSYNC",
        "JWT_SECRET",
        "DISCORD_CLIENT_SECRET",
    ];
    assert_eq!(names, expected);

    let text = Mistakes(mistakes).to_string();
    assert!(text.starts_with("the configuration has 11 mistakes:\n"), "{text}");
    assert!(
        text.contains(
            r#"WORKER_COUNT = "zero" (environment): is not a whole number in range; allowed: 1 to 256"#
        ),
        "{text}"
    );
    assert!(text.contains(r#"SPOOL_FSYNC = "sometimes" (flag): "#), "{text}");
    assert!(text.contains("worker_cuont (file): is not a setting"), "{text}");
    assert!(text.contains("has 9 bytes, which is too short"), "{text}");
    assert!(!text.contains("too short\" ") && !text.contains("s3cret"), "{text}");
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let given = || {
        Given::what_a_service_needs().file("worker_count = 5\nworker_batch_size = 7\nINGEST_MAX_EVENTS = 9")
    };
    let loaded = given()
        .environment("WORKER_COUNT", "4")
        .environment("WORKER_BATCH_SIZE", "6")
        .flag("WORKER_COUNT", "3")
        .load(Purpose::SERVE)
        .unwrap();
    let config = &loaded.config;
    assert_eq!((config.worker_count, config.worker_batch_rows, config.ingest_max_events), (3, 6, 9));
    assert_eq!(shown(&loaded, "WORKER_COUNT").source, Some(Source::Flag));
    assert_eq!(shown(&loaded, "WORKER_BATCH_SIZE").source, Some(Source::Env));
    assert_eq!(shown(&loaded, "INGEST_MAX_EVENTS").source, Some(Source::File));
    assert_eq!(shown(&loaded, "WORKER_QUEUE_SIZE").source, Some(Source::Default));
    assert_eq!(shown(&loaded, "STEAM_API_KEY").source, None);
}

#[test]
fn an_empty_value_counts_as_not_given() {
    let given = Given::what_a_service_needs().file("worker_count = 5").environment("WORKER_COUNT", "");
    assert_eq!(given.load(Purpose::SERVE).unwrap().config.worker_count, 5);
}

#[test]
fn the_file_may_be_named_by_the_environment() {
    let given =
        Given::what_a_service_needs().file("worker_count = 5\ntrusted_proxies = ['10.0.0.0/8', '::1']");
    let path = given.path("mohaa.toml");
    let mut given = given.environment("MOHAA_CONFIG", path.to_str().unwrap());
    given.sources.config_file = None;
    let config = given.load(Purpose::SERVE).unwrap().config;
    assert_eq!((config.worker_count, config.trusted_proxies.len()), (5, 2));
}

#[test]
fn a_broken_file_is_told_by_its_line_without_its_content() {
    let given = Given::what_a_service_needs().file("worker_count = 2\njwt_secret = s3cret\n");
    let error = given.load(Purpose::SERVE).unwrap_err().to_string();
    assert!(error.contains("mohaa.toml: line 2") && !error.contains("s3cret"), "{error}");
}

#[test]
fn the_listen_flag_beats_listen_which_beats_port() {
    let listen = |given: Given| given.load(Purpose::SERVE).unwrap().config.listen().to_string();
    let given = || Given::what_a_service_needs().environment("PORT", "9001");
    assert_eq!(listen(given()), "0.0.0.0:9001");
    assert_eq!(listen(given().environment("LISTEN", "127.0.0.1")), "127.0.0.1:9001");
    assert_eq!(listen(given().environment("LISTEN", "127.0.0.1:9002")), "127.0.0.1:9002");
    let both = || given().environment("LISTEN", "127.0.0.1:9002");
    assert_eq!(listen(both().flag("LISTEN", "127.0.0.2:0")), "127.0.0.2:0");
    assert_eq!(listen(both().flag("LISTEN", ":9003")), "0.0.0.0:9003");
    assert_eq!(listen(both().flag("PORT", "9004")), "127.0.0.1:9004");
    assert_eq!(listen(given().file("listen = '127.0.0.1:9005'")), "127.0.0.1:9001");
}

#[test]
fn shown_values_are_what_holds_with_secrets_hidden() {
    let given =
        Given::what_a_service_needs().environment("LISTEN", "127.0.0.1:9002").environment("PORT", "9001");
    let loaded = given.load(Purpose::SERVE).unwrap();
    let text = format!("{loaded:?}");
    assert!(!text.contains("s3cret") && !text.contains(GOOD_SECRET), "{text}");
    assert_eq!(shown(&loaded, "JWT_SECRET").value.as_deref(), Some("[hidden]"));
    assert_eq!(shown(&loaded, "POSTGRES_URL").value.as_deref(), Some("postgres://mohaa:***@db/mohaa"));
    assert_eq!(shown(&loaded, "LISTEN").value.as_deref(), Some("127.0.0.1:9002"));
    assert_eq!(shown(&loaded, "PORT").value.as_deref(), Some("9002"));
}

#[test]
fn a_small_spool_has_small_segments_and_a_large_batch_may_grow() {
    let given = Given::what_a_service_needs()
        .environment("SPOOL_MAX_BYTES", "8MiB")
        .environment("WORKER_BATCH_SIZE", "300000");
    let loaded = given.load(Purpose::SERVE).unwrap();
    assert_eq!(loaded.config.spool_segment_bytes, 2 << 20);
    assert_eq!(loaded.config.worker_batch_max_rows, 300_000);
    assert_eq!(shown(&loaded, "SPOOL_SEGMENT_BYTES").value.as_deref(), Some("2097152"));
}

#[test]
fn a_data_directory_on_the_command_line_names_its_stores() {
    let stores =
        "POSTGRES_URL=postgres://private/db\nREDIS_URL=redis://private\nCLICKHOUSE_URL=http://private:1/x\n";
    let given = Given::what_a_service_needs().stores_file(stores);
    let data_dir = given.path("data");
    let postgres = |given: &Given, purpose| {
        given.load(purpose).unwrap().config.postgres_url.unwrap().expose().to_owned()
    };
    assert_eq!(postgres(&given, Purpose::CHANGE_SERVERS), "postgres://mohaa:s3cret@db/mohaa");
    let given = given.flag("DATA_DIR", data_dir.to_str().unwrap());
    assert_eq!(postgres(&given, Purpose::CHANGE_SERVERS), "postgres://private/db");
    assert_eq!(postgres(&given, Purpose::SERVE), "postgres://mohaa:s3cret@db/mohaa");
    let given = Given::nothing().stores_file(stores);
    assert_eq!(postgres(&given, Purpose::CHANGE_SERVERS), "postgres://private/db");
}

#[test]
fn a_data_directory_without_running_stores_is_told_plainly() {
    let given = Given::what_a_service_needs();
    let data_dir = given.path("data");
    let given = given.flag("DATA_DIR", data_dir.to_str().unwrap());
    let error = given.load(Purpose::CHANGE_SERVERS).unwrap_err().to_string();
    let expected = format!("is `mohaa-stats serve --embedded --data-dir {}` running?", data_dir.display());
    assert!(error.contains(&expected), "{error}");
}

#[test]
fn a_kept_signing_secret_serves_when_none_is_given() {
    let given = Given::nothing().environment("POSTGRES_URL", "postgres://db/mohaa");
    assert_eq!(given.mistakes(Purpose::CHANGE_USERS)[0].name, "JWT_SECRET");
    let kept = kept::read_or_make_jwt_secret(&given.path("data")).unwrap();
    let loaded = given.load(Purpose::CHANGE_USERS).unwrap();
    assert_eq!(loaded.config.jwt_secret, Some(kept));
    assert_eq!(shown(&loaded, "JWT_SECRET").source, Some(Source::Kept));
    let loaded = given.environment("JWT_SECRET", GOOD_SECRET).load(Purpose::CHANGE_USERS).unwrap();
    assert_eq!(loaded.config.jwt_secret, Some(Secret::new(GOOD_SECRET)));
}

#[test]
fn links_lead_to_the_public_address_else_to_where_the_service_listens() {
    let base = |given: &Given| given.load(Purpose::SERVE).unwrap().config.base_url();
    let given = Given::what_a_service_needs().environment("PORT", "9001");
    assert_eq!(base(&given), "http://127.0.0.1:9001");
    kept::write_service_url(&given.path("data"), "http://127.0.0.1:40001").unwrap();
    assert_eq!(base(&given), "http://127.0.0.1:40001");
    let given = given.environment("PUBLIC_URL", "https://stats.example.org/");
    assert_eq!(base(&given), "https://stats.example.org");
}

#[test]
fn a_public_address_is_an_origin() {
    for wrong in
        ["stats.example.org", "ftp://stats.example.org", "https://stats.example.org/path", "https://a@b.org"]
    {
        let mistakes =
            Given::what_a_service_needs().environment("PUBLIC_URL", wrong).mistakes(Purpose::SERVE);
        assert_eq!(mistakes[0].name, "PUBLIC_URL", "{wrong}");
    }
}

#[test]
fn frames_are_for_everybody_for_nobody_or_for_sites_that_are_named() {
    let read = |text: &str| {
        let given = Given::what_a_service_needs().environment("EMBED_ANCESTORS", text);
        given.load(Purpose::SERVE).unwrap().config.embed_ancestors
    };
    assert_eq!(Given::what_a_service_needs().load(Purpose::SERVE).unwrap().config.embed_ancestors, "*");
    assert_eq!(read("none"), "'none'");
    assert_eq!(
        read("https://example.org  https://*.example.net:8443"),
        "'self' https://example.org https://*.example.net:8443"
    );
    for wrong in
        ["example.org", "https://example.org/path", "https://a; script-src *", "https://", "* https://a"]
    {
        let given = Given::what_a_service_needs().environment("EMBED_ANCESTORS", wrong);
        assert_eq!(given.mistakes(Purpose::SERVE)[0].name, "EMBED_ANCESTORS", "{wrong}");
    }
}

#[test]
fn every_setting_can_be_found_by_one_name_in_each_place() {
    let names: HashSet<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), SETTINGS.len());
    let setting = SETTINGS.iter().find(|setting| setting.name == "WORKER_FLUSH_INTERVAL").unwrap();
    assert_eq!(
        (setting.flag().as_str(), setting.file_key().as_str()),
        ("worker-flush-interval", "worker_flush_interval")
    );
}

#[test]
fn a_value_may_stand_in_a_file_that_the_environment_names() {
    let given = Given::what_a_service_needs();
    let (secret, url) = (given.path("jwt"), given.path("postgres_url"));
    fs::write(&secret, "1f8a3c5e7b9d1f2a4c6e8b0d3f5a7c9e\n").unwrap();
    fs::write(&url, "postgres://mohaa:hidden@other/mohaa\r\n").unwrap();
    let given = given
        .environment("JWT_SECRET", "")
        .environment("JWT_SECRET_FILE", secret.to_str().unwrap())
        .environment("POSTGRES_URL", "")
        .environment("POSTGRES_URL_FILE", url.to_str().unwrap())
        .file("postgres_url = 'postgres://mohaa@third/mohaa'");
    let loaded = given.load(Purpose::SERVE).unwrap();
    assert_eq!(loaded.config.jwt_secret.as_ref().unwrap().expose(), "1f8a3c5e7b9d1f2a4c6e8b0d3f5a7c9e");
    let postgres = shown(&loaded, "POSTGRES_URL");
    assert_eq!(postgres.source, Some(Source::EnvFile));
    let value = postgres.value.as_deref().unwrap();
    assert!(value.contains("other") && !value.contains("hidden"), "{value}");
}

#[test]
fn a_file_that_the_environment_names_must_be_there_hold_something_and_stand_alone() {
    let given = Given::what_a_service_needs();
    let (empty, good, gone) = (given.path("empty"), given.path("good"), given.path("gone"));
    fs::write(&empty, "\n").unwrap();
    fs::write(&good, "redis://:s3cret@other").unwrap();
    let given = given
        .environment("POSTGRES_URL", "")
        .environment("POSTGRES_URL_FILE", gone.to_str().unwrap())
        .environment("STEAM_API_KEY_FILE", empty.to_str().unwrap())
        .environment("REDIS_URL_FILE", good.to_str().unwrap());
    let text = Mistakes(given.mistakes(Purpose::SERVE)).to_string();
    assert!(text.contains("POSTGRES_URL_FILE") && text.contains("names a file that can't be read"), "{text}");
    assert!(text.contains("STEAM_API_KEY_FILE") && text.contains("names an empty file"), "{text}");
    assert!(text.contains("REDIS_URL_FILE") && text.contains("is set beside REDIS_URL"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}
