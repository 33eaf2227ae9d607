//! Stores of several servers: a service that goes on when another one of them becomes the first.

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use mohaa_embedded::testing::{TestStores, postgres_programs, redis_program};
use mohaa_stats::config::{RedisUrl, StoreUrl};
use mohaa_stats::postgres::watch::WatchError;
use mohaa_stats::postgres::{self, watch};
use mohaa_stats::redis::{self, SharedDataVersion};
use mohaa_stats::startup::Surroundings;
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::support::{PATIENCE, Service, eventually};

/// A server that ends with the test.
struct Server {
    process: Child,
    port: u16,
}

impl Server {
    fn start(command: &mut Command, port: u16) -> Self {
        let process =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { process, port }
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Redis by a configuration of its own, which it may change.
fn redis_server(folder: &Path, name: &str, settings: &str, arguments: &[&str]) -> Server {
    let port = free_port();
    let home = folder.join(name);
    std::fs::create_dir(&home).unwrap();
    let file = home.join("redis.conf");
    let all = format!("port {port}\nbind 127.0.0.1\ndir {}\nsave \"\"\n{settings}\n", home.display());
    std::fs::write(&file, all).unwrap();
    Server::start(Command::new(redis_program()).arg(&file).args(arguments), port)
}

async fn ask(
    port: u16,
    command: &[&str],
) -> deadpool_redis::redis::RedisResult<deadpool_redis::redis::Value> {
    let client = deadpool_redis::redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let mut asking = deadpool_redis::redis::cmd(command[0]);
    for argument in &command[1..] {
        asking.arg(*argument);
    }
    asking.query_async(&mut connection).await
}

/// The port of the master, as the sentinel has it.
async fn master(sentinel: u16) -> Option<u16> {
    let answer = ask(sentinel, &["SENTINEL", "get-master-addr-by-name", "main"]).await.ok()?;
    let (_, port): (String, u16) = deadpool_redis::redis::from_redis_value(answer).ok()?;
    Some(port)
}

#[actix_web::test]
async fn a_service_follows_redis_to_the_master_that_its_sentinels_name() {
    let folder = tempfile::tempdir().unwrap();
    let first = redis_server(folder.path(), "first", "", &[]);
    let following = format!("replicaof 127.0.0.1 {}", first.port);
    let second = redis_server(folder.path(), "second", &following, &[]);
    eventually("the second one has what the first one has", async || {
        let role = ask(second.port, &["INFO", "replication"]).await.ok()?;
        format!("{role:?}").contains("master_link_status:up").then_some(())
    })
    .await;
    let watching = format!(
        "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000",
        first.port
    );
    let sentinel = redis_server(folder.path(), "sentinel", &watching, &["--sentinel"]);
    eventually("the sentinel knows both", async || {
        let known = ask(sentinel.port, &["SENTINEL", "replicas", "main"]).await.ok()?;
        let known = format!("{known:?}");
        (known.contains(&second.port.to_string()) && master(sentinel.port).await == Some(first.port))
            .then_some(())
    })
    .await;

    let urls = TestStores::shared().await.database("sentinels").await;
    let redis_url = format!("redis+sentinel://127.0.0.1:{},127.0.0.1:9/main", sentinel.port);
    let service = Service::start_on(&urls, &[("REDIS_URL", &redis_url)], Surroundings::default()).await;
    let is_there = async |service: &Service| {
        let ready = service.client.get("/ready").await.json();
        (ready["checks"]["redis"]["ok"] == true).then_some(())
    };
    eventually("Redis is there", async || is_there(&service).await).await;
    let pool = redis::connect(&RedisUrl::parse(&redis_url).unwrap()).unwrap();
    let version = SharedDataVersion::new(pool);
    version.replace("before").await.unwrap();

    // Both live on: a connection to the one that was the master answers, and takes nothing.
    eventually("the sentinel hands over", async || {
        ask(sentinel.port, &["SENTINEL", "FAILOVER", "main"]).await.ok()
    })
    .await;
    eventually("the other one is the master", async || {
        (master(sentinel.port).await == Some(second.port)).then_some(())
    })
    .await;
    // The one before may take a last word, which is lost with its place.
    eventually("what is written reaches the new master", async || {
        version.replace("after").await.ok()?;
        let found = ask(second.port, &["GET", "data:version"]).await.ok()?;
        (deadpool_redis::redis::from_redis_value::<String>(found).ok()? == "after").then_some(())
    })
    .await;
    eventually("the service has Redis as well", async || is_there(&service).await).await;
    let kill = r#"[{"type":"kill","attacker_guid":"41","victim_guid":"42","timestamp":1}]"#;
    service.client.send(kill).await.assert_batch(202, 1, &[]);
    let data_version = async || {
        let found = ask(second.port, &["GET", "data:version"]).await.unwrap();
        deadpool_redis::redis::from_redis_value::<String>(found).unwrap()
    };
    eventually("it tells other nodes there that it has stored something", async || {
        (data_version().await != "after").then_some(())
    })
    .await;
    service.stop().await;
}

/// A server of PostgreSQL with a folder of its own.
struct Postgres {
    programs: PathBuf,
    user: Option<(u32, u32)>,
    folder: tempfile::TempDir,
}

impl Postgres {
    fn new() -> Self {
        let (programs, user) = postgres_programs();
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        Self { programs, user, folder }
    }

    /// Of that user, who may write into one folder.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match self.user {
            None => Command::new(&program),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
                command.arg(&program);
                command
            }
        };
        command.current_dir("/").env("LC_ALL", "C").env("PGPASSWORD", "pw");
        command
    }

    fn home(&self, name: &str) -> PathBuf {
        let home = self.folder.path().join(name);
        std::fs::create_dir(&home).unwrap();
        std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
        if let Some((user, group)) = self.user {
            chown(&home, Some(user), Some(group)).unwrap();
        }
        home
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn start(&self, home: &Path) -> Server {
        let port = free_port();
        let mut command = self.command("postgres");
        command.arg("-D").arg(home);
        let sockets = format!("unix_socket_directories={}", home.display());
        for setting in
            [&format!("port={port}"), "listen_addresses=127.0.0.1", &sockets, "shared_buffers=16MB"]
        {
            command.arg("-c").arg(setting);
        }
        Server::start(&mut command, port)
    }

    async fn primary_and_standby(&self) -> [Server; 2] {
        let (first_home, second_home) = (self.home("first"), self.home("second"));
        let password = first_home.with_extension("password");
        std::fs::write(&password, "pw").unwrap();
        let [first_path, second_path, password] =
            [&first_home, &second_home, &password].map(|path| path.to_str().unwrap().to_owned());
        self.run(
            "initdb",
            &[
                "--pgdata",
                &first_path,
                "--username=mohaa",
                "--pwfile",
                &password,
                "--auth=scram-sha-256",
                "--no-sync",
            ],
        );
        let first = self.start(&first_home);
        until_it_answers(first.port).await;
        let port = first.port.to_string();
        self.run(
            "pg_basebackup",
            &[
                "--host=127.0.0.1",
                "--port",
                &port,
                "--username=mohaa",
                "--pgdata",
                &second_path,
                "--write-recovery-conf",
                "--no-sync",
            ],
        );
        let second = self.start(&second_home);
        until_it_answers(second.port).await;
        [first, second]
    }
}

async fn until_it_answers(port: u16) {
    eventually("PostgreSQL answers", async || connection(port).await.ok()).await;
}

async fn connection(port: u16) -> sqlx::Result<PgConnection> {
    PgConnection::connect(&format!("postgres://mohaa:pw@127.0.0.1:{port}/postgres")).await
}

async fn promote(standby: &Server) {
    let mut connection = connection(standby.port).await.unwrap();
    let is_promoted: bool =
        sqlx::query_scalar("SELECT pg_promote()").fetch_one(&mut connection).await.unwrap();
    assert!(is_promoted);
}

async fn write(pool: &PgPool, text: &str) -> Option<()> {
    sqlx::query("INSERT INTO said (text) VALUES ($1)").bind(text).execute(pool).await.ok().map(drop)
}

#[actix_web::test]
async fn the_primary_among_several_servers_of_postgresql_is_found_and_followed() {
    let postgres_of_test = Postgres::new();
    let [mut first, second] = postgres_of_test.primary_and_standby().await;

    // The standby stands first: it answers, and takes nothing.
    let url = format!("postgres://mohaa:pw@127.0.0.1:{},127.0.0.1:{}/postgres", second.port, first.port);
    let pool = postgres::pool(&StoreUrl::postgres(&url).unwrap()).await.unwrap();
    eventually("the primary is found", async || {
        sqlx::query("CREATE TABLE IF NOT EXISTS said (text text)").execute(&pool).await.ok()
    })
    .await;
    write(&pool, "before").await.unwrap();
    eventually("the standby has it", async || {
        let mut standby = connection(second.port).await.ok()?;
        sqlx::query("SELECT FROM said WHERE text = 'before'").fetch_optional(&mut standby).await.ok()?
    })
    .await;
    let signs: String = sqlx::query_scalar("SHOW tcp_keepalives_idle").fetch_one(&pool).await.unwrap();
    assert_eq!(signs, "10", "a node that vanishes is noticed");

    first.kill();
    promote(&second).await;
    eventually("the other server is written to", async || write(&pool, "after").await).await;
    let mut promoted = connection(second.port).await.unwrap();
    let said: Vec<String> = sqlx::query_scalar("SELECT text FROM said ORDER BY text DESC")
        .fetch_all(&mut promoted)
        .await
        .unwrap();
    assert_eq!(said, ["before", "after"]);
    pool.close().await;
}

/// A role that may do nothing but use its own database, and that database.
const PLAIN: [&str; 2] = ["CREATE ROLE plain LOGIN PASSWORD 'pw'", "CREATE DATABASE plain OWNER plain"];

async fn plain_connection(server: &Server) -> sqlx::Result<PgConnection> {
    PgConnection::connect(&format!("postgres://plain:pw@127.0.0.1:{}/plain", server.port)).await
}

/// How often a server was told `text`.
async fn times_said(server: &Server, text: &str) -> Option<i64> {
    let mut connection = plain_connection(server).await.ok()?;
    let counted = sqlx::query_scalar("SELECT count(*) FROM said WHERE text = $1").bind(text);
    counted.fetch_one(&mut connection).await.ok()
}

async fn write_ten_at_once(pool: &PgPool, text: &str) {
    let written = futures_util::future::join_all((0..10).map(|_| write(pool, text))).await;
    assert!(written.iter().all(Option::is_some));
}

#[actix_web::test]
async fn of_two_servers_of_postgresql_that_are_both_primary_the_one_promoted_last_is_used() {
    let postgres_of_test = Postgres::new();
    let [first, mut second] = postgres_of_test.primary_and_standby().await;
    let mut superuser = connection(first.port).await.unwrap();
    for statement in PLAIN {
        sqlx::query(statement).execute(&mut superuser).await.unwrap();
    }
    let url = format!("postgres://plain:pw@127.0.0.1:{},127.0.0.1:{}/plain", first.port, second.port);
    let pool = postgres::pool(&StoreUrl::postgres(&url).unwrap()).await.unwrap();
    sqlx::query("CREATE TABLE said (text text)").execute(&pool).await.unwrap();
    write_ten_at_once(&pool, "before").await;
    eventually("the standby has it", async || (times_said(&second, "before").await? == 10).then_some(()))
        .await;
    let mut listener = watch::listen(&pool, "news").await.unwrap();

    // The one before lives on, and takes whatever it is told.
    promote(&second).await;
    eventually("the promoted one is written to", async || {
        write(&pool, "after").await?;
        times_said(&second, "after").await.filter(|times| *times > 0)
    })
    .await;
    write_ten_at_once(&pool, "later").await;
    assert_eq!(times_said(&second, "later").await, Some(10));
    assert_eq!(times_said(&first, "later").await, Some(0), "no connection to the one before is used");
    let heard = tokio::time::timeout(PATIENCE, listener.next()).await;
    assert!(matches!(heard.unwrap(), Err(WatchError::Lost)), "nothing is told there any more");

    let urls = TestStores::shared().await.database("two_primaries").await;
    let service = Service::start_on(&urls, &[("POSTGRES_URL", url.as_str())], Surroundings::default()).await;
    let mut have_tables = Vec::<bool>::new();
    for server in [&first, &second] {
        let mut connection = plain_connection(server).await.unwrap();
        let has_table = sqlx::query_scalar("SELECT to_regclass('servers') IS NOT NULL");
        have_tables.push(has_table.fetch_one(&mut connection).await.unwrap());
    }
    assert_eq!(
        have_tables,
        [false, true],
        "whoever starts now writes there as well, though it stands second"
    );
    assert_eq!(service.client.metrics().await.value("mohaa_postgres_primaries"), 2.0);
    service.stop().await;

    second.kill();
    for _ in 0..3 {
        assert!(write(&pool, "lost").await.is_none(), "nobody goes back to the one before");
    }
    assert_eq!(times_said(&first, "lost").await, Some(0));
    pool.close().await;
}
