//! What a data directory keeps over restarts: the stores' passwords and ports, in one private file.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use rand::RngExt as _;

use crate::{Error, write_private};

const FILE: &str = "stores.keys";
/// Below the range that the kernel gives to outgoing connections (from 32768 on Linux), which could
/// take a store's port while it restarts.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 31_999;
const ATTEMPTS: usize = 500;
/// Letters and digits only: the passwords stand in URLs and configuration files as they are.
const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// 190 bits.
const PASSWORD_LENGTH: usize = 32;

#[derive(Clone, Default)]
pub struct Kept {
    pub postgres_password: String,
    pub redis_password: String,
    pub clickhouse_password: String,
    pub postgres_port: u16,
    pub redis_port: u16,
    pub clickhouse_port: u16,
}

impl Kept {
    /// Reads what is kept and fills in what is missing; ports are chosen later.
    pub fn read(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(Error::File { action: "read", path, source }),
        };
        let value = |name: &str| {
            text.lines()
                .filter_map(|line| line.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
        };
        let password =
            |name: &str| value(name).filter(|text| !text.is_empty()).unwrap_or_else(random_password);
        let port = |name: &str| value(name).and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Kept {
            postgres_password: password("POSTGRES_PASSWORD"),
            redis_password: password("REDIS_PASSWORD"),
            clickhouse_password: password("CLICKHOUSE_PASSWORD"),
            postgres_port: port("POSTGRES_PORT"),
            redis_port: port("REDIS_PORT"),
            clickhouse_port: port("CLICKHOUSE_PORT"),
        })
    }

    /// Keeps each port that is still free and replaces the others.
    pub fn choose_ports(&mut self) -> Result<(), Error> {
        // Held until all three are chosen, so that they differ.
        let mut held = Vec::new();
        for port in [&mut self.postgres_port, &mut self.redis_port, &mut self.clickhouse_port] {
            let candidates = std::iter::once(*port).filter(|port| *port != 0).chain(
                std::iter::repeat_with(|| rand::rng().random_range(FIRST_PORT..=LAST_PORT)).take(ATTEMPTS),
            );
            let listener = candidates.into_iter().find_map(|port| {
                TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|held| (port, held))
            });
            let (free, listener) = listener.ok_or(Error::NoPort(FIRST_PORT, LAST_PORT))?;
            *port = free;
            held.push(listener);
        }
        Ok(())
    }

    pub fn write(&self, data_dir: &Path) -> Result<(), Error> {
        let text = format!(
            "POSTGRES_PASSWORD={}\nREDIS_PASSWORD={}\nCLICKHOUSE_PASSWORD={}\n\
             POSTGRES_PORT={}\nREDIS_PORT={}\nCLICKHOUSE_PORT={}\n",
            self.postgres_password,
            self.redis_password,
            self.clickhouse_password,
            self.postgres_port,
            self.redis_port,
            self.clickhouse_port
        );
        write_private(&data_dir.join(FILE), &text)
    }
}

fn random_password() -> String {
    let mut random = rand::rng();
    (0..PASSWORD_LENGTH).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}
