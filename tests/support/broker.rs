//! Mosquitto, configured as it is shipped, and game servers that publish to it.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;

use mohaa_faults::process::Signal;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Outgoing, Packet, QoS};
use rustix::process::{Pid, kill_process};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use uuid::Uuid;

use super::eventually;

pub const SERVICE_USER: &str = "mohaa-stats";
pub const SERVICE_PASSWORD: &str = "brokers-pa55word-of-the-service";
/// Of every server.
pub const SERVER_PASSWORD: &str = "pa55word-of-a-server";

/// A broker whose sessions outlive its process.
pub struct Broker {
    pub port: u16,
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl Broker {
    /// Starts it with a user for each of these servers.
    pub async fn start(servers: &[Uuid]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut broker = Self { port, folder: tempfile::tempdir().unwrap(), process: None };
        let folder = broker.folder.path().to_owned();
        for name in ["config", "data", "run"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        std::fs::copy("ops/mosquitto/acl", folder.join("config/acl")).unwrap();
        let shipped = std::fs::read_to_string("ops/mosquitto/mosquitto.conf").unwrap();
        let config = shipped
            .replace("/mosquitto/", &format!("{}/", folder.display()))
            .replace("\nlistener 1883\n", &format!("\nlistener {port} 127.0.0.1\n"));
        // As whom the tests run: the folder is theirs.
        let config = format!("{config}\nuser root\n");
        std::fs::write(folder.join("config/mosquitto.conf"), config).unwrap();
        let mut users = format!("{SERVICE_USER}:{SERVICE_PASSWORD}\n");
        users.extend(servers.iter().map(|server| format!("{server}:{SERVER_PASSWORD}\n")));
        std::fs::write(folder.join("users"), users).unwrap();
        broker.run().await;
        broker
    }

    /// What the service is told of it.
    pub fn url(&self) -> String {
        format!("mqtt://{SERVICE_USER}:{SERVICE_PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// Starts it again.
    pub async fn run(&mut self) {
        let folder = self.folder.path();
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let path = format!("/usr/sbin:{}", std::env::var("PATH").unwrap_or_default());
        let child = Command::new("sh")
            .arg("ops/mosquitto/start.sh")
            .env("PATH", path)
            .env("MOSQUITTO_USERS", folder.join("users"))
            .env("MOSQUITTO_PASSWORDS", folder.join("run/passwords"))
            .env("MOSQUITTO_CONFIG", folder.join("config/mosquitto.conf"))
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.process = Some(child.unwrap_or_else(|error| panic!("sh: {error}")));
        eventually("the broker listens; `ops/setup.sh tests` gets it", async || {
            TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }

    /// Ends it and waits until it is gone.
    pub async fn end(&mut self, signal: Signal) {
        self.signal(signal);
        self.process.take().unwrap().wait().await.unwrap();
    }

    /// Has it write its sessions now, as it does every five seconds.
    pub async fn save(&self) {
        self.signal(Signal::USR1);
        let file = self.folder.path().join("data/mosquitto.db");
        eventually("the broker has written its sessions", async || file.exists().then_some(())).await;
    }

    fn signal(&self, signal: Signal) {
        let id = self.process.as_ref().and_then(Child::id).unwrap();
        kill_process(Pid::from_raw(id.cast_signed()).unwrap(), signal).unwrap();
    }
}

impl Drop for Broker {
    /// What it said helps to understand a test that fails.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default());
        }
    }
}

/// A game server at the broker.
pub struct Publisher {
    port: u16,
    user: String,
    password: String,
    connection: Option<(AsyncClient, EventLoop)>,
}

impl Publisher {
    pub fn of_server(broker: &Broker, server: Uuid) -> Self {
        Self::of_user(broker, &server.to_string(), SERVER_PASSWORD)
    }

    pub fn of_user(broker: &Broker, user: &str, password: &str) -> Self {
        Self { port: broker.port, user: user.to_owned(), password: password.to_owned(), connection: None }
    }

    /// Publishes once; returns when the broker has it for good, or at QoS 0 when it has left.
    ///
    /// # Errors
    /// When the connection is lost first: it may or may not have arrived.
    pub async fn publish(&mut self, topic: &str, qos: QoS, payload: &str) -> Result<(), String> {
        let published = self.try_publish(topic, qos, payload).await;
        if published.is_err() {
            self.connection = None;
        }
        published
    }

    /// Publishes at QoS 1, again and again until the broker says that it has it: as the standard asks of senders.
    pub async fn publish_at_least_once(&mut self, topic: &str, payload: &str) {
        while self.publish(topic, QoS::AtLeastOnce, payload).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn try_publish(&mut self, topic: &str, qos: QoS, payload: &str) -> Result<(), String> {
        let (client, event_loop) = self.connection.get_or_insert_with(|| {
            let mut options = MqttOptions::new(format!("server-{}", Uuid::new_v4()), "127.0.0.1", self.port);
            options.set_credentials(&self.user, &self.password).set_max_packet_size(4 << 20, 4 << 20);
            AsyncClient::new(options, 10)
        });
        client.publish(topic, qos, false, payload).await.map_err(|error| error.to_string())?;
        loop {
            let event = tokio::time::timeout(Duration::from_secs(10), event_loop.poll()).await;
            match (event.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?, qos) {
                (Event::Incoming(Packet::PubAck(_)), QoS::AtLeastOnce)
                | (Event::Outgoing(Outgoing::Publish(_)), QoS::AtMostOnce) => return Ok(()),
                _ => {}
            }
        }
    }
}
