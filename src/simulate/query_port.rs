//! The port on which a game server answers the game's `getstatus`, over UDP.

use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tokio::net::UdpSocket;

use super::battle::BattlePlan;
use super::roster::Persona;

const QUESTION: &[u8] = b"\xff\xff\xff\xff\x02getstatus ";
const SLOTS: usize = 32;

/// Answers while [`Self::answer`] runs.
#[derive(Debug)]
pub struct QueryPort {
    socket: UdpSocket,
    /// What is said besides the challenge: variables, then players.
    said: Mutex<(String, Vec<u8>)>,
}

impl QueryPort {
    /// A free port of this machine.
    pub async fn open() -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        Ok(Self { socket, said: Mutex::default() })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Tells of this match from now on.
    pub(super) fn plays(&self, plan: &BattlePlan, personas: &[impl AsRef<Persona>]) {
        let variables = format!(
            r"\sv_hostname\Simulated\mapname\{}\g_gametype\{}\sv_maxclients\{SLOTS}",
            plan.map.name,
            plan.game_type.number()
        );
        let mut players = Vec::new();
        for persona in personas.iter().take(SLOTS) {
            players.extend_from_slice(b"40 \"");
            players.extend_from_slice(&persona.as_ref().name);
            players.extend_from_slice(b"\"\n");
        }
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = (variables, players);
    }

    /// Until the socket fails. What is no question stays without an answer, as in the game.
    pub async fn answer(&self) {
        let mut datagram = [0; 1024];
        while let Ok((length, from)) = self.socket.recv_from(&mut datagram).await {
            let Some(challenge) = datagram[..length].strip_prefix(QUESTION) else { continue };
            let answer = {
                let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                let parts: [&[u8]; 5] = [
                    b"\xff\xff\xff\xff\x01statusResponse\n",
                    said.0.as_bytes(),
                    b"\\challenge\\",
                    challenge.trim_ascii_end(),
                    b"\n",
                ];
                [parts.concat(), said.1.clone()].concat()
            };
            // Whoever asked may have gone.
            let _ = self.socket.send_to(&answer, from).await;
        }
    }
}
