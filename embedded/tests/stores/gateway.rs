//! Queries, errors and what is refused.

use crate::http::{Address, fresh};

#[derive(clickhouse::Row, serde::Serialize, serde::Deserialize, PartialEq, Debug, Clone)]
struct Kill {
    number: u64,
    weapon: String,
    map: Option<String>,
}

#[tokio::test]
async fn the_crate_reads_typed_rows_with_bound_and_server_side_parameters() {
    let client = fresh("typed").await.client();
    let rows: Vec<Kill> = client
        .query("SELECT number, concat(?, toString(number)) AS weapon, nullIf({map:String}, '') AS map FROM numbers(?)")
        .bind("it's \\ ")
        .bind(3)
        .param("map", "obj/obj_team1\n")
        .fetch_all()
        .await
        .unwrap();
    assert_eq!(rows.len(), 3);
    let expected =
        Kill { number: 2, weapon: "it's \\ 2".to_owned(), map: Some("obj/obj_team1\n".to_owned()) };
    assert_eq!(rows[2], expected);
}

#[tokio::test]
async fn merges_have_a_thread_for_each_core_and_mutations_leave_room_for_them() {
    let client = fresh("merges").await.client();
    let of = async |table: &str, name: &str| -> String {
        let question = format!("SELECT value FROM system.{table} WHERE name = ?");
        client.query(&question).bind(name).fetch_one().await.unwrap()
    };
    let threads = std::thread::available_parallelism().unwrap().get().clamp(2, 16);
    assert_eq!(of("server_settings", "background_pool_size").await, threads.to_string());
    let free = of("merge_tree_settings", "number_of_free_entries_in_pool_to_execute_mutation").await;
    let free: usize = free.parse().unwrap();
    assert!((threads..=2 * threads).contains(&free), "{free} of {}", 2 * threads);
}

#[tokio::test]
async fn a_large_result_arrives_whole() {
    let client = fresh("large").await.client();
    let mut cursor = client
        .query(
            "SELECT number, toString(number) AS weapon, NULL::Nullable(String) AS map FROM numbers(200000)",
        )
        .fetch::<Kill>()
        .unwrap();
    let mut sum = 0;
    let mut rows = 0;
    while let Some(row) = cursor.next().await.unwrap() {
        sum += row.number;
        rows += 1;
    }
    assert_eq!((rows, sum), (200_000, 199_999 * 100_000));
}

#[tokio::test]
async fn errors_carry_code_status_and_text() {
    let address = fresh("errors").await;
    for (query, sql, status, code, name) in [
        ("", "SELECT * FROM missing", 404, "60", "UNKNOWN_TABLE"),
        ("", "SELEC 1", 400, "62", "SYNTAX_ERROR"),
        ("", "SELECT 1; SELECT 2", 400, "62", "SYNTAX_ERROR"),
        ("", "", 400, "62", "SYNTAX_ERROR"),
        ("&max_treads=1", "SELECT 1", 404, "115", "UNKNOWN_SETTING"),
        ("&max_threads=many", "SELECT 1", 400, "27", "CANNOT_PARSE_INPUT"),
        (
            "&max_execution_time=0.2",
            "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 3",
            408,
            "159",
            "TIMEOUT_EXCEEDED",
        ),
    ] {
        let answer = address.post(query, sql.as_bytes()).await;
        assert_eq!(answer.status, status, "{sql}: {}", answer.body);
        assert_eq!(answer.header("X-ClickHouse-Exception-Code"), Some(code), "{sql}");
        assert!(answer.body.starts_with(&format!("Code: {code}. DB::Exception: ")), "{}", answer.body);
        assert!(answer.body.contains(&format!("({name}")), "{}", answer.body);
    }
    let error = address.client().query("SELECT * FROM missing").execute().await.unwrap_err();
    assert!(error.to_string().contains("UNKNOWN_TABLE"), "{error}");
}

#[tokio::test]
async fn files_and_addresses_outside_are_closed() {
    let address = fresh("closed").await;
    let target = std::env::temp_dir().join(format!("outfile-{}", std::process::id()));
    let outfile = format!("SELECT 1 INTO OUTFILE '{}'", target.display());
    for sql in [
        outfile.as_str(),
        "SELECT * FROM file('/etc/passwd', 'LineAsString')",
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT * FROM remote('127.0.0.1', 'system', 'one')",
        "SELECT * FROM `/etc/passwd`",
        "INSERT INTO FUNCTION file('/tmp/written-by-gateway', 'CSV', 'a Int8') VALUES (1)",
    ] {
        let answer = address.post("", sql.as_bytes()).await;
        assert_ne!(answer.status, 200, "{sql}: {}", answer.body);
    }
    assert!(!target.exists());
}

#[tokio::test]
async fn get_reads_and_never_writes() {
    let address = fresh("get").await;
    assert_eq!(address.get("&query=SELECT+1&max_threads=2").await.body, "1\n");
    let answer = address.get("&query=CREATE+TABLE+t(a+Int8)ENGINE=Memory").await;
    assert_eq!(answer.header("X-ClickHouse-Exception-Code"), Some("164"), "{}", answer.body);
    assert_eq!(address.sql("EXISTS t").await, "0");
}

#[tokio::test]
async fn credentials_are_taken_from_headers_basic_and_url_and_checked() {
    let address = fresh("credentials").await;
    let ping = address.exchange(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert_eq!((ping.status, ping.body.as_str()), (200, "Ok.\n"));
    let Address { user, password, .. } = &address;
    let url = format!(
        "GET /?query=SELECT+7&user={user}&password={password} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(address.exchange(url.as_bytes()).await.body, "7\n");
    for wrong in [
        format!(
            "GET /?query=SELECT+7&user={user}&password=x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        ),
        "GET /?query=SELECT+7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_owned(),
    ] {
        let answer = address.exchange(wrong.as_bytes()).await;
        assert_eq!((answer.status, answer.header("X-ClickHouse-Exception-Code")), (403, Some("516")));
    }
    let curl = std::process::Command::new("curl")
        .args(["-sS", "-m", "10", "-u", &format!("{user}:{password}")])
        .arg(format!("http://{}/?query=SELECT+currentDatabase()&database={}", address.host, address.database))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&curl.stdout).trim(), address.database);
}

#[tokio::test]
async fn answers_tell_their_format_id_and_counters() {
    let address = fresh("headers").await;
    let answer = address.post("&query_id=my-id", b"SELECT number FROM numbers(10) FORMAT JSON").await;
    assert_eq!(answer.header("X-ClickHouse-Query-Id"), Some("my-id"));
    assert_eq!(answer.header("X-ClickHouse-Format"), Some("JSON"));
    assert!(answer.header("Content-Type").unwrap().starts_with("application/json"));
    assert!(answer.header("X-ClickHouse-Summary").unwrap().contains("\"read_rows\":\"10\""));
}

#[tokio::test]
async fn a_session_keeps_what_was_set_and_other_requests_do_not_see_it() {
    let address = fresh("session").await;
    address.post("&session_id=s", b"SET max_threads = 3").await;
    let kept = address.post("&session_id=s&session_check=1", b"SELECT getSetting('max_threads')").await;
    assert_eq!(kept.body, "3\n");
    // Outside a session `SET` must not stick to a pooled connection.
    address.sql("SET max_threads = 5").await;
    for _ in 0..3 {
        assert_ne!(address.sql("SELECT getSetting('max_threads')").await, "5");
    }
    let unknown = address.post("&session_id=other&session_check=1", b"SELECT 1").await;
    assert_eq!(unknown.header("X-ClickHouse-Exception-Code"), Some("372"));
}

#[tokio::test]
async fn kill_sync_returns_only_when_the_statement_has_ended() {
    let address = fresh("kill").await;
    let victim = Address::of(&format!(
        "http://{}:{}@{}/{}",
        address.user, address.password, address.host, address.database
    ));
    let running = tokio::spawn(async move {
        victim
            .post(
                "&query_id=victim",
                b"SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 3",
            )
            .await
    });
    let seen = "SELECT count() FROM system.processes WHERE query_id = 'victim'";
    while address.sql(seen).await != "1" {
        tokio::task::yield_now().await;
    }
    let twice = address.post("&query_id=victim", b"SELECT 1").await;
    assert_eq!(twice.header("X-ClickHouse-Exception-Code"), Some("216"), "{}", twice.body);
    let killed = address.sql("KILL QUERY WHERE query_id = 'victim' SYNC").await;
    assert!(killed.starts_with("finished\tvictim"), "{killed}");
    assert_eq!(address.sql(seen).await, "0");
    assert_eq!(running.await.unwrap().header("X-ClickHouse-Exception-Code"), Some("394"));
    assert_eq!(address.sql("KILL QUERY WHERE query_id = 'victim' SYNC").await, "");
}
