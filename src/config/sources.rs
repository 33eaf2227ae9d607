//! Where values come from, and which one holds: a flag beats the environment, which beats the file, which beats
//! the default. A value that is empty counts as not given, as compose files write `NAME=` for what they leave out.
//!
//! A variable `NAME_FILE` names a file that holds the value of `NAME`: secrets are handed to containers and services like
//! that, and a file can't be read off a process as its environment can. Saying both is a mistake.
//!
//! `stores.env`, which running private stores keep in their data directory, is a fifth place. Naming that
//! directory on the command line is as good as naming its stores, so it then stands above the environment;
//! otherwise it only fills in what nobody else says.

use super::{
    Purpose, kept,
    mistakes::{ConfigError, Mistake},
    settings::{SETTINGS, Setting},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    ffi::OsString,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The file of running private stores that tells their URLs, one `NAME=value` a line.
pub const STORES_FILE: &str = "stores.env";

/// Where an effective value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Flag,
    StoresEnv,
    Env,
    /// In a file that the environment names.
    EnvFile,
    File,
    Default,
    /// Made at the first start and kept in the data directory.
    Kept,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Flag => "flag",
            Self::StoresEnv => "stores.env",
            Self::Env => "environment",
            Self::EnvFile => "file named by the environment",
            Self::File => "file",
            Self::Default => "default",
            Self::Kept => "kept in the data directory",
        })
    }
}

/// What was said, before any of it is read.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Of the command line, by setting name.
    pub flags: HashMap<String, String>,
    pub config_file: Option<PathBuf>,
    pub environment: HashMap<String, OsString>,
}

/// The variable that names the configuration file when `--config` doesn't.
const CONFIG_FILE_VARIABLE: &str = "MOHAA_CONFIG";

impl Sources {
    /// Flags as given, and the environment of this process.
    pub fn of_process(flags: HashMap<String, String>, config_file: Option<PathBuf>) -> Self {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        Self { flags, config_file, environment }
    }

    fn file_path(&self) -> Option<PathBuf> {
        let from_environment = || self.environment.get(CONFIG_FILE_VARIABLE).filter(|path| !path.is_empty());
        self.config_file.clone().or_else(|| from_environment().map(PathBuf::from))
    }
}

/// What a command does with private stores of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoresFile {
    /// It runs stores of its own, or needs none.
    Ignored,
    /// Taken when it is there.
    Optional,
    /// A data directory on the command line must have it.
    Required,
}

/// The values of each place, before any is understood.
pub struct Layers {
    layers: Vec<(Source, BTreeMap<&'static str, String>)>,
    pub mistakes: Vec<Mistake>,
}

/// A value and the place it was found in; rank 0 is the strongest place.
pub struct Found<'a> {
    pub rank: usize,
    pub source: Source,
    pub text: &'a str,
}

impl Layers {
    pub fn read(sources: &Sources, purpose: &Purpose) -> Result<Self, ConfigError> {
        let mut mistakes = Vec::new();
        let flags = flags_layer(&sources.flags);
        let environment = environment_layer(&sources.environment, &mut mistakes);
        let named_files = named_files_layer(&sources.environment, &mut mistakes);
        let file = match sources.file_path() {
            Some(path) => file_layer(&path, &mut mistakes)?,
            None => BTreeMap::new(),
        };
        let layers = vec![
            (Source::Flag, flags),
            (Source::Env, environment),
            (Source::EnvFile, named_files),
            (Source::File, file),
        ];
        let mut this = Self { layers, mistakes };

        let (directory_source, data_dir) = match this.find("DATA_DIR") {
            Some(found) => (found.source, PathBuf::from(found.text)),
            None => (Source::Default, PathBuf::from(purpose.default_data_dir)),
        };
        if purpose.stores_file != StoresFile::Ignored {
            let named_for_its_stores =
                directory_source == Source::Flag && purpose.stores_file == StoresFile::Required;
            let stores = stores_layer(&data_dir, named_for_its_stores)?;
            let rank = if named_for_its_stores { 1 } else { this.layers.len() };
            this.layers.insert(rank, (Source::StoresEnv, stores));
        }
        let kept_secret = kept::read_jwt_secret(&data_dir)
            .map_err(|error| ConfigError::Kept { data_dir, reason: error.to_string() })?;
        let kept = kept_secret.map(|secret| ("JWT_SECRET", secret.expose().to_owned())).into_iter().collect();
        this.layers.push((Source::Kept, kept));
        Ok(this)
    }

    /// The strongest place that says something about this setting.
    pub fn find(&self, name: &str) -> Option<Found<'_>> {
        self.layers.iter().enumerate().find_map(|(rank, (source, values))| {
            let text = values.get(name)?;
            Some(Found { rank, source: *source, text })
        })
    }
}

fn flags_layer(flags: &HashMap<String, String>) -> BTreeMap<&'static str, String> {
    SETTINGS
        .iter()
        .filter_map(|setting| Some((setting.name, flags.get(setting.name)?.clone())))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn environment_layer(
    environment: &HashMap<String, OsString>,
    mistakes: &mut Vec<Mistake>,
) -> BTreeMap<&'static str, String> {
    let mut layer = BTreeMap::new();
    for setting in &SETTINGS {
        match environment.get(setting.name).map(|value| value.to_str()) {
            None | Some(Some("")) => {}
            Some(Some(value)) => {
                layer.insert(setting.name, value.to_owned());
            }
            Some(None) => mistakes.push(Mistake {
                name: setting.name.to_owned(),
                source: Some(Source::Env),
                value: None,
                problem: "is not UTF-8".to_owned(),
                allowed: setting.allowed.to_owned(),
            }),
        }
    }
    layer
}

/// What stands in the files that variables `NAME_FILE` name, without the line's end behind it.
fn named_files_layer(
    environment: &HashMap<String, OsString>,
    mistakes: &mut Vec<Mistake>,
) -> BTreeMap<&'static str, String> {
    let mut layer = BTreeMap::new();
    for setting in &SETTINGS {
        let name = format!("{}_FILE", setting.name);
        let Some(path) = environment.get(&name).filter(|path| !path.is_empty()) else { continue };
        let shown = Some(path.to_string_lossy().into_owned());
        let mut wrong = |problem: String, allowed: &str| {
            mistakes.push(Mistake {
                name: name.clone(),
                source: Some(Source::Env),
                value: shown.clone(),
                problem,
                allowed: allowed.to_owned(),
            });
        };
        if environment.get(setting.name).is_some_and(|value| !value.is_empty()) {
            wrong(format!("is set beside {}", setting.name), "one of the two");
            continue;
        }
        match fs::read_to_string(path) {
            Ok(text) => match text.trim_end_matches(['\r', '\n']) {
                "" => wrong("names an empty file".to_owned(), setting.allowed),
                value => {
                    layer.insert(setting.name, value.to_owned());
                }
            },
            Err(error) => wrong(format!("names a file that can't be read: {error}"), "a file"),
        }
    }
    layer
}

fn file_layer(
    path: &Path,
    mistakes: &mut Vec<Mistake>,
) -> Result<BTreeMap<&'static str, String>, ConfigError> {
    let failed = |reason: String| ConfigError::File { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    // The parser's own message quotes the line, which may hold a secret: position and reason are enough.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line =
            error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        failed(format!("line {line}: {}", error.message()))
    })?;

    let mut layer = BTreeMap::new();
    for (key, value) in &table {
        let mut wrong = |problem: &str, allowed: &str| {
            mistakes.push(Mistake {
                name: key.clone(),
                source: Some(Source::File),
                value: None,
                problem: problem.to_owned(),
                allowed: allowed.to_owned(),
            });
        };
        let Some(setting) = setting_of_key(key) else {
            wrong("is not a setting", "the names that `mohaa-stats config` lists, in lower case");
            continue;
        };
        let Some(text) = text_of(value) else {
            wrong("has a value of a kind that no setting takes", setting.allowed);
            continue;
        };
        if layer.contains_key(setting.name) {
            wrong("is given twice", "");
        }
        if !text.is_empty() {
            layer.insert(setting.name, text);
        }
    }
    Ok(layer)
}

fn setting_of_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.name == key || setting.file_key() == key)
}

/// A file's value as the text that the same setting would have elsewhere; lists are divided by commas.
fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(switch) => Some(switch.to_string()),
        toml::Value::Array(parts) => {
            let parts: Option<Vec<String>> =
                parts.iter().map(|part| Some(part.as_str()?.to_owned())).collect();
            parts.map(|parts| parts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

fn stores_layer(data_dir: &Path, must_exist: bool) -> Result<BTreeMap<&'static str, String>, ConfigError> {
    let path = data_dir.join(STORES_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && !must_exist => return Ok(BTreeMap::new()),
        Err(error) => {
            let reason = error.to_string();
            return Err(ConfigError::StoresFile { path, data_dir: data_dir.to_owned(), reason });
        }
    };
    let lines = text.lines().filter_map(|line| line.split_once('='));
    Ok(lines
        .filter_map(|(name, value)| {
            let setting = SETTINGS.iter().find(|setting| setting.name == name.trim())?;
            Some((setting.name, value.trim().to_owned()))
        })
        .collect())
}
