//! The command line. Settings become flags by the settings' table (`SettingFlags`), so that help, environment and
//! file can't disagree; what only one command knows is an argument of that command.

use crate::{
    config::{BrokerUrl, Preset, SETTINGS, Shown, Sources},
    import::ImportFormat,
    simulate::DialectChoice,
    users::Role,
};
use chrono::{DateTime, Utc};
use clap::{Arg, ArgGroup, ArgMatches, Args, Command, FromArgMatches, Parser, Subcommand, ValueHint};
use std::{collections::HashMap, path::PathBuf};
use uuid::Uuid;

/// Game telemetry and tournaments for OpenMOHAA servers.
///
/// Takes in what game servers report, loses none of it, and turns it into statistics.
#[derive(Debug, Parser)]
#[command(
    name = "mohaa-stats",
    version,
    arg_required_else_help = true,
    after_help = "Try it: mohaa-stats demo\n\
        Logs go to standard error; RUST_LOG filters them (default: info), LOG_FORMAT=json writes them as JSON; OTEL_EXPORTER_OTLP_ENDPOINT sends traces.\n\
        Exit codes: 0 done, 1 failed, 2 wrong usage or configuration."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: CliCommand,
}

#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Run the service
    ///
    /// Prints `listening on http://…` on standard output once it takes requests. Stops on SIGTERM or Ctrl-C, after
    /// what was accepted is safe.
    Serve {
        /// Bring private PostgreSQL, Redis and ClickHouse along, kept in the data directory
        #[arg(long)]
        embedded: bool,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Run the service with private stores and made-up matches to look at
    Demo {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Play made-up matches of game servers against a running service
    ///
    /// Prints a JSON report of what was sent, to compare with what the service says.
    Simulate(SimulateArguments),
    /// Bring what was played before to the stores: logs of consoles, files of events
    ///
    /// Runs beside the service. What an earlier import has stored is not stored again.
    Import(ImportArguments),
    /// Make, list and revoke game servers
    #[command(subcommand)]
    Server(ServerCommand),
    /// Make users, and links that sign them in
    #[command(subcommand)]
    User(UserCommand),
    /// Sign in to a running service with a browser; prints the tokens
    Login(LoginArguments),
    /// Bring the schemas of PostgreSQL and ClickHouse up to date, and end
    Migrate {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Look at what could not be stored, have it stored again, or discard it
    #[command(subcommand)]
    DeadLetters(DeadLetterCommand),
    /// Save PostgreSQL, ClickHouse and the spool as they are at one moment; the service may run meanwhile
    ///
    /// Prints what the backup holds. Its folder is for the owner alone: it holds keys, and what people wrote.
    Backup(BackupArguments),
    /// Fill empty stores and an empty spool from a backup; no service may run on them
    ///
    /// Every file is looked at before anything is touched, and every table after it was filled.
    Restore(RestoreArguments),
    /// Ask whether a service that runs with these settings on this machine answers; for health checks of containers
    Health {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Print the effective configuration and where each value comes from, secrets hidden
    Config {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Print the HTTP API as OpenAPI 3.1
    Openapi,
}

#[derive(Debug, Args)]
pub struct ImportArguments {
    /// Id of the server that it was played on
    #[arg(long, value_name = "ID")]
    pub server: Uuid,
    /// What the files hold [default: by their names; .csv, .ndjson, .jsonl and .json, and consoles' logs]
    #[arg(long, value_enum)]
    pub format: Option<ImportFormat>,
    /// When the first line of a console's log was written, where lines don't say it (2019-05-04T20:00:00Z); each later line
    /// counts as a second after the one before
    #[arg(long, value_name = "TIME")]
    pub began: Option<DateTime<Utc>>,
    /// Read and count, and store nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Files to import
    #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub settings: SettingFlags,
}

#[derive(Debug, Args)]
pub struct BackupArguments {
    /// Folder to be made
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, required_unless_present = "check")]
    pub to: Option<PathBuf>,
    /// Look at a backup that was made instead: checksums and rows, without any store
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with_all = ["to", "embedded"])]
    pub check: Option<PathBuf>,
    /// Start the private stores of the data directory for it, when no service runs
    #[arg(long)]
    pub embedded: bool,
    #[command(flatten)]
    pub settings: SettingFlags,
}

#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// Folder of the backup
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub from: PathBuf,
    /// Make private stores in the data directory
    #[arg(long)]
    pub embedded: bool,
    #[command(flatten)]
    pub settings: SettingFlags,
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("speakers").required(true).args(["tokens", "data_dir"])))]
pub struct SimulateArguments {
    /// Address of the service
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub url: String,
    /// Token of a server; give one for each server
    #[arg(long = "token", value_name = "TOKEN")]
    pub tokens: Vec<String>,
    /// Make the servers in the stores of this data directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,
    /// Servers that play at once [default: one for each token, else 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub servers: Option<u16>,
    /// Matches for each server
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub matches: u32,
    /// Percentage of players that are not logged in [default: 0, with the dialect live 50]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub guests: Option<u8>,
    /// Events a second over all servers [default: as fast as answers come]
    #[arg(long, value_name = "EVENTS_PER_S", value_parser = positive_rate)]
    pub rate: Option<f64>,
    /// Play in real time: a match takes the minutes that it lasts
    #[arg(long, conflicts_with = "rate")]
    pub realtime: bool,
    /// Seconds that a match lasts [default: 480 to 900, drawn for each]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(60..=86_400))]
    pub match_length: Option<u32>,
    /// Have each server answer the game's getstatus on a UDP port of 127.0.0.1, for a service with SERVER_QUERY=on and
    /// SERVER_QUERY_ALLOWED_NETWORKS=127.0.0.1
    #[arg(long, requires = "data_dir")]
    pub answer_queries: bool,
    /// Publish to a broker (mqtt://[user:password@]host) instead of posting; the user may write to every server's topic
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, requires = "data_dir", value_parser = broker_url)]
    pub mqtt: Option<BrokerUrl>,
    /// How the servers speak
    #[arg(long, value_enum, default_value_t = DialectChoice::Mixed)]
    pub dialect: DialectChoice,
    /// Equal seeds play equal matches
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Play a tournament to its end: every match on one of the servers, reported by nobody else
    #[arg(long, value_name = "ID", requires = "data_dir", conflicts_with_all = ["matches", "guests", "rate", "dialect", "realtime", "match_length", "answer_queries", "mqtt"])]
    pub tournament: Option<Uuid>,
}

fn broker_url(text: &str) -> Result<BrokerUrl, String> {
    BrokerUrl::parse(text)
}

fn positive_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("is not a number above 0".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Make a server; prints its id and its token, which is shown only now
    Add {
        /// What the server is called
        #[arg(long)]
        name: String,
        /// Names that mark bots, separated by commas; * stands for any text
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        bot_names: Vec<String>,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Set the names that mark bots on a server, from its next events on
    BotNames {
        /// The server's id
        #[arg(value_name = "ID")]
        server_id: Uuid,
        /// Names, in which * stands for any text; without any, only guids mark bots
        #[arg(value_name = "NAME")]
        bot_names: Vec<String>,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// List the servers
    List {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Make a key with which a game script registers one server within 24 hours
    Key {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Approve a server that registered by itself: its events count from then on, those held until then included
    Approve {
        /// The server's id
        #[arg(value_name = "ID")]
        server_id: Uuid,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Revoke the tokens of a server at once; one that registered by itself has to be approved anew
    Revoke {
        /// The server's id
        #[arg(value_name = "ID")]
        server_id: Uuid,
        #[command(flatten)]
        settings: SettingFlags,
    },
}

#[derive(Debug, Args)]
pub struct LoginArguments {
    /// Address of the service
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// What this device is called where it is approved
    #[arg(long, value_name = "NAME", default_value = "mohaa-stats at a command line")]
    pub name: String,
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user; prints an access token for 15 minutes and a link that signs a browser in once within 24 hours
    Add {
        /// What the user is called
        #[arg(long)]
        name: String,
        /// What the user may do: player, organizer or admin
        #[arg(long, value_name = "ROLE")]
        role: Role,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Make another link that signs a user in once within 24 hours
    LoginLink {
        /// The user's id
        #[arg(value_name = "ID")]
        user_id: i32,
        #[command(flatten)]
        settings: SettingFlags,
    },
}

#[derive(Debug, Subcommand)]
pub enum DeadLetterCommand {
    /// List the dead letters with their reasons
    List {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Print a dead letter with the events it holds
    Show {
        /// The letter's id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Have letters stored by the service that runs, or by the next one that does
    Replay {
        #[command(flatten)]
        chosen: ChosenLetters,
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Discard letters for good
    Drop {
        #[command(flatten)]
        chosen: ChosenLetters,
        #[command(flatten)]
        settings: SettingFlags,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct ChosenLetters {
    /// Ids of the letters
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// All of them
    #[arg(long)]
    pub all: bool,
}

/// Every setting that may stand on a command line, as given and not yet understood: mistakes are told all at once,
/// together with those of the environment and the file.
#[derive(Debug, Clone, Default)]
pub struct SettingFlags {
    pub flags: HashMap<String, String>,
    pub config_file: Option<PathBuf>,
}

impl SettingFlags {
    pub fn sources(self) -> Sources {
        Sources::of_process(self.flags, self.config_file)
    }
}

const CONFIG_FILE_ID: &str = "config";
/// Settings that short help shows.
const EVERYDAY_SETTINGS: [&str; 2] = ["LISTEN", "DATA_DIR"];

impl Args for SettingFlags {
    fn augment_args(command: Command) -> Command {
        let config_file = Arg::new(CONFIG_FILE_ID)
            .long(CONFIG_FILE_ID)
            .value_name("FILE")
            .value_hint(ValueHint::FilePath)
            .value_parser(clap::value_parser!(PathBuf))
            .help("TOML file of settings [env: MOHAA_CONFIG]");
        let command =
            command.next_help_heading("Settings (flag over environment over file)").arg(config_file);
        let with_flag = SETTINGS.iter().filter(|setting| setting.shown != Shown::Nothing);
        with_flag.fold(command, |command, setting| {
            let default = match setting.default {
                Preset::Unset => String::new(),
                Preset::Value(text) => format!(" [default: {text}]"),
                Preset::Depends { with_own_stores, otherwise } => {
                    format!(" [default: {otherwise}, with private stores {with_own_stores}]")
                }
            };
            let help = format!("{}{default} [env: {}]", setting.meaning, setting.name);
            command.arg(
                Arg::new(setting.name)
                    .long(setting.flag())
                    .value_name("VALUE")
                    .help(help)
                    .hide_short_help(!EVERYDAY_SETTINGS.contains(&setting.name)),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut this = Self::default();
        this.update_from_arg_matches(matches)?;
        Ok(this)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.config_file = matches.get_one::<PathBuf>(CONFIG_FILE_ID).cloned();
        let with_flag = SETTINGS.iter().filter(|setting| setting.shown != Shown::Nothing);
        self.flags = with_flag
            .filter_map(|setting| {
                Some((setting.name.to_owned(), matches.get_one::<String>(setting.name)?.clone()))
            })
            .collect();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    fn parsed(line: &str) -> Result<CliCommand, clap::Error> {
        Cli::try_parse_from(line.split_whitespace()).map(|cli| cli.command)
    }

    #[test]
    fn the_commands_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn settings_are_flags_of_serve() {
        let command = parsed(
            "mohaa-stats serve --embedded --data-dir d --listen 127.0.0.1:0 --worker-count x --config c.toml",
        );
        let Ok(CliCommand::Serve { embedded: true, settings }) = command else { panic!("{command:?}") };
        assert_eq!(settings.flags["LISTEN"], "127.0.0.1:0");
        assert_eq!(settings.flags["DATA_DIR"], "d");
        assert_eq!(settings.flags["WORKER_COUNT"], "x");
        assert_eq!(settings.config_file, Some(PathBuf::from("c.toml")));
        assert_eq!(settings.flags.len(), 3);
    }

    #[test]
    fn secrets_have_no_flags() {
        assert!(parsed("mohaa-stats serve --jwt-secret x").is_err());
        let help = Cli::command().find_subcommand_mut("serve").unwrap().render_long_help().to_string();
        assert!(help.contains("--postgres-url") && !help.contains("--jwt-secret"), "{help}");
    }

    #[test]
    fn a_simulation_needs_tokens_or_the_stores_to_make_them_in() {
        assert!(parsed("mohaa-stats simulate --url http://127.0.0.1:8080").is_err());
        assert!(parsed("mohaa-stats simulate --url u --token a --data-dir d").is_err());
        assert!(parsed("mohaa-stats simulate --url u --token a --guests 101").is_err());
        assert!(parsed("mohaa-stats simulate --url u --token a --rate 0").is_err());
        let command =
            parsed("mohaa-stats simulate --url u --token a --token b --dialect live --rate 10.5 --seed 7");
        let Ok(CliCommand::Simulate(arguments)) = command else { panic!("{command:?}") };
        assert_eq!((arguments.tokens.len(), arguments.dialect, arguments.seed), (2, DialectChoice::Live, 7));
    }

    #[test]
    fn a_user_has_a_known_role() {
        assert!(parsed("mohaa-stats user add --name Anna --role admin").is_ok());
        assert!(parsed("mohaa-stats user add --name Anna --role king").is_err());
    }
}
