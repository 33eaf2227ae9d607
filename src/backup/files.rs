//! The folder of a backup, and the files of the data directory in it.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use mohaa_spool::{FileSystem, Storage as _};
use sha2::{Digest as _, Sha256};

use super::manifest::{FORMAT, SavedFile};
use super::{BackupError, MANIFEST, Manifest, Result};

/// Of the data directory besides the spool; what is not there is not saved. The key that signs tokens is here where the service
/// made it itself.
const KEPT_FILES: [&str; 2] = ["jwt_secret", "server-tokens.json"];
const SPOOL: &str = "spool";
/// Stands in a spool from before its first file is put back until all stores are filled.
const MARK: &str = "restore-unfinished";
/// What waits to go into the spool's log, as its parts are copied: letters that wait, then those that are asked for.
const HELD: &str = "held";
const RESULTS: &str = "results";
const LETTERS: &str = "dead-letters";
const ASKED_FOR: &str = "dead-letters/replay";
const SUMMARIES: &str = "summaries";
/// What a disk of its own has, which nobody but root may read.
const LOST_AND_FOUND: &str = "lost+found";
/// Fast, and the files are a third of what they were.
const COMPRESSION_LEVEL: i32 = 3;
const CHUNK_BYTES: usize = 1 << 20;

fn in_file(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::File { path: path.to_owned(), source }
}

/// The folder, closed to everybody but its owner: it holds what identifies people, and keys.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    pub fn make(path: &Path) -> Result<Self> {
        if path.exists() {
            check_is_empty(path)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(in_file(path))?;
        Ok(Self { path: path.to_owned() })
    }

    /// A backup of which every file is as it was written.
    pub fn open(path: &Path) -> Result<(Self, Manifest)> {
        let no_backup = |reason: String| BackupError::NoBackup { path: path.to_owned(), reason };
        let text =
            fs::read(path.join(MANIFEST)).map_err(|error| no_backup(format!("{MANIFEST}: {error}")))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| no_backup(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(no_backup(format!("its format is {}, not {FORMAT}", manifest.format)));
        }
        let folder = Self { path: path.to_owned() };
        for file in manifest.all_files() {
            if !is_below(&file.path) {
                return Err(no_backup(format!("{} is outside of it", file.path)));
            }
            folder.check(file)?;
        }
        let is_ours = |path: &str| KEPT_FILES.contains(&path) || spool_file(path).is_some();
        if let Some(file) = manifest.files.iter().find(|file| !is_ours(&file.path)) {
            return Err(no_backup(format!("{} is no file of a data directory", file.path)));
        }
        Ok((folder, manifest))
    }

    fn check(&self, saved: &SavedFile) -> Result<()> {
        let path = self.path.join(&saved.path);
        let mut hashing = Hashing::new(io::sink());
        io::copy(&mut File::open(&path).map_err(in_file(&path))?, &mut hashing).map_err(in_file(&path))?;
        match hashing.end(saved.path.clone()) == *saved {
            true => Ok(()),
            false => Err(BackupError::Damaged { path: saved.path.clone() }),
        }
    }

    /// Reads every table to its end, which takes longer than its checksum: PostgreSQL's have as many rows as the manifest says.
    pub fn check_tables(&self, manifest: &Manifest) -> Result<()> {
        for table in &manifest.postgres.tables {
            let mut rows = 0;
            let mut pieces = self.decompressed(&table.file)?;
            while let Some(piece) = pieces.next()? {
                rows += rows_of_copy(&piece);
            }
            if rows != table.rows {
                return Err(BackupError::differs(
                    &table.name,
                    &format!("{rows} rows"),
                    &format!("{} rows", table.rows),
                ));
            }
        }
        for table in &manifest.clickhouse.tables {
            let mut pieces = self.decompressed(&table.file)?;
            while pieces.next()?.is_some() {}
        }
        Ok(())
    }

    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let text = serde_json::to_vec_pretty(manifest)?;
        let path = self.path.join(MANIFEST);
        crate::config::kept::write_private_file(&path, &text).map_err(in_file(&path))
    }

    /// A file for a table's rows, to be written from its beginning to its end.
    pub fn compressed(&self, name: String) -> Result<CompressedFile> {
        let path = self.path.join(&name);
        let file = self.create(&path)?;
        let encoder = zstd::stream::write::Encoder::new(Hashing::new(file), COMPRESSION_LEVEL)
            .map_err(in_file(&path))?;
        Ok(CompressedFile { name, path, encoder })
    }

    fn create(&self, path: &Path) -> Result<File> {
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(in_file(parent))?;
        }
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(path)
            .map_err(in_file(path))
    }

    /// What was written so, in pieces.
    pub fn decompressed(&self, file: &SavedFile) -> Result<Pieces> {
        let path = self.path.join(&file.path);
        let file = File::open(&path).map_err(in_file(&path))?;
        let decoder = zstd::stream::read::Decoder::new(file).map_err(in_file(&path))?;
        Ok(Pieces { path, decoder })
    }

    /// Copies the spool, which may be written to meanwhile, and what else is kept.
    ///
    /// What moves is copied where it comes from before where it goes, so that it is in one of them at least: requests that are held, results
    /// and dead letters before the log that they are sent on to, letters that are put back once more at the end. What is in the log too is let go of by the
    /// next start, by its key. Segments go the oldest before the others: one that vanishes was stored as a whole, and what the other
    /// files say is never older than the records. A segment that begins later holds events that came later.
    pub fn save_data_dir(&self, spool: &Path, data_dir: &Path) -> Result<Vec<SavedFile>> {
        let saved = self.path.join(SPOOL);
        if saved.exists() {
            fs::remove_dir_all(&saved).map_err(in_file(&saved))?;
        }
        let mut files = Vec::new();
        let save = |name: &str, files: &mut Vec<SavedFile>| -> Result<()> {
            files.extend(self.save_file(&spool.join(name), format!("{SPOOL}/{name}"))?);
            Ok(())
        };
        for folder in [HELD, RESULTS, LETTERS, ASKED_FOR] {
            for name in files_in(spool, folder)? {
                save(&name, &mut files)?;
            }
        }
        let mut names = files_on_top(spool)?;
        names.sort_by_key(|name| (!name.starts_with("segment-"), name.clone()));
        names.append(&mut files_in(spool, SUMMARIES)?);
        for name in names {
            save(&name, &mut files)?;
        }
        let copied: BTreeSet<String> = files.iter().map(|file| file.path.clone()).collect();
        for name in files_in(spool, LETTERS)? {
            if !copied.contains(&format!("{SPOOL}/{name}")) {
                save(&name, &mut files)?;
            }
        }
        // One that was asked for between the two is asked for.
        files.retain(|file| asked_for(&file.path).is_none_or(|moved| !copied.contains(&moved)));
        for name in KEPT_FILES {
            files.extend(self.save_file(&data_dir.join(name), name.to_owned())?);
        }
        Ok(files)
    }

    /// Copies what there is of a file now; none where it has gone.
    fn save_file(&self, from: &Path, name: String) -> Result<Option<SavedFile>> {
        let mut source = match File::open(from) {
            Ok(source) => source,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(in_file(from)(error)),
        };
        let path = self.path.join(&name);
        let mut target = Hashing::new(self.create(&path)?);
        io::copy(&mut source, &mut target).map_err(in_file(&path))?;
        target.inner.sync_all().map_err(in_file(&path))?;
        Ok(Some(target.end(name)))
    }

    /// Puts the files of a spool where a service finds them.
    pub fn fill_spool(&self, files: &[SavedFile], spool: &SpoolToFill) -> Result<()> {
        let mut folders = BTreeSet::from([spool.path.clone()]);
        for file in files {
            // An earlier version copied whatever lay there.
            let Some(name) = spool_file(&file.path).filter(|name| is_of_spool(name)) else { continue };
            let target = spool.path.join(name);
            let source = self.path.join(&file.path);
            let mut written = self.create(&target)?;
            io::copy(&mut File::open(&source).map_err(in_file(&source))?, &mut written)
                .map_err(in_file(&target))?;
            written.sync_all().map_err(in_file(&target))?;
            folders.extend(target.ancestors().skip(1).take_while(|at| *at != spool.path).map(Path::to_owned));
        }
        folders.iter().try_for_each(|folder| sync(folder))
    }

    /// Puts what else is kept into the data directory, each file in one step: a service reads some before anything else.
    pub fn fill_data_dir(&self, files: &[SavedFile], data_dir: &Path) -> Result<()> {
        for file in files.iter().filter(|file| KEPT_FILES.contains(&file.path.as_str())) {
            let (source, target) = (self.path.join(&file.path), data_dir.join(&file.path));
            let content = fs::read(&source).map_err(in_file(&source))?;
            crate::config::kept::write_private_file(&target, &content).map_err(in_file(&target))?;
        }
        Ok(())
    }
}

/// The folder of a spool that nobody has open, for as long as this lives. It may be on a disk of its own, which can be neither
/// removed nor put into another one's place: so files are put into it one by one, under a mark.
pub struct SpoolToFill {
    path: PathBuf,
    is_marked: bool,
    _lock: mohaa_spool::DirectoryLock,
}

impl SpoolToFill {
    /// # Errors
    /// When a service has it open, or something is in it that no unfinished restore has left.
    pub fn open(path: &Path, data_dir: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o755).create(data_dir).map_err(in_file(data_dir))?;
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(in_file(path))?;
        let lock = FileSystem.lock(path).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => BackupError::InUse(path.to_owned()),
            _ => in_file(path)(error),
        })?;
        let is_marked = is_marked(path);
        if !is_marked && !spool_files(path)?.is_empty() {
            return Err(BackupError::NotEmpty(path.to_owned()));
        }
        Ok(Self { path: path.to_owned(), is_marked, _lock: lock })
    }

    /// Whether an earlier restore did not end.
    pub fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// Marks it, and takes out what an earlier restore has left.
    pub fn begin(&self) -> Result<()> {
        let mark = self.path.join(MARK);
        crate::config::kept::write_private_file(&mark, b"").map_err(in_file(&mark))?;
        self.empty()
    }

    fn empty(&self) -> Result<()> {
        for name in spool_files(&self.path)? {
            let file = self.path.join(name);
            fs::remove_file(&file).map_err(in_file(&file))?;
        }
        Ok(())
    }

    /// Takes everything out again, and the mark.
    pub fn undo(&self) -> Result<()> {
        self.empty()?;
        self.end()
    }

    /// Takes the mark away: it is a spool like any other.
    pub fn end(&self) -> Result<()> {
        let mark = self.path.join(MARK);
        fs::remove_file(&mark).map_err(in_file(&mark))?;
        sync(&self.path)
    }
}

/// Whether a restore has begun to fill a spool, and did not end.
pub fn is_marked(spool: &Path) -> bool {
    spool.join(MARK).exists()
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(in_file(folder))
}

/// Whether a name below a spool's folder is one that a service gives, and not of a file that is being made, the lock, or of something
/// that happens to be on the same disk.
fn is_of_spool(name: &str) -> bool {
    if name.ends_with("unfinished") {
        return false;
    }
    match name.split_once('/') {
        Some((folder, _)) => [HELD, RESULTS, LETTERS, SUMMARIES].contains(&folder),
        None => {
            let is_journal = ["keys-", "message-keys-"].iter().any(|prefix| name.starts_with(prefix));
            matches!(name, "identity" | "checkpoint" | "touched-days.json")
                || ["segment-", "damaged-segment-"].iter().any(|prefix| name.starts_with(prefix))
                || is_journal && name.ends_with(".log")
        }
    }
}

/// Files of a spool, by their names below its folder; none where there is no folder.
fn spool_files(spool: &Path) -> Result<Vec<String>> {
    let mut files = files_on_top(spool)?;
    for folder in [HELD, RESULTS, LETTERS, ASKED_FOR, SUMMARIES] {
        files.append(&mut files_in(spool, folder)?);
    }
    Ok(files)
}

/// Those that are in none of its folders.
fn files_on_top(spool: &Path) -> Result<Vec<String>> {
    let mut files = Vec::new();
    for (name, is_folder) in entries(spool).map_err(in_file(spool))? {
        if !is_folder && is_of_spool(&name) {
            files.push(name);
        }
    }
    files.sort();
    Ok(files)
}

/// Those of one of its folders; letters that are asked for have one of their own.
fn files_in(spool: &Path, folder: &str) -> Result<Vec<String>> {
    let path = spool.join(folder);
    let mut files: Vec<String> = files_below(&path)
        .map_err(in_file(&path))?
        .into_iter()
        .map(|name| format!("{folder}/{name}"))
        .filter(|name| is_of_spool(name) && (folder == ASKED_FOR || !name.starts_with(ASKED_FOR)))
        .collect();
    files.sort();
    Ok(files)
}

/// Where a dead letter of a backup is when it is asked for; none for other files.
fn asked_for(path: &str) -> Option<String> {
    let letter = spool_file(path)?.strip_prefix(LETTERS)?.strip_prefix('/')?;
    (!letter.contains('/')).then(|| format!("{SPOOL}/{ASKED_FOR}/{letter}"))
}

/// Rows in a piece of what `COPY` writes: a line is one, as line ends within values are escaped.
pub fn rows_of_copy(piece: &[u8]) -> u64 {
    piece.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Whether a path leads to something below where it begins. The manifest may come from anybody.
fn is_below(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0']))
}

/// The name within the spool, of a file of it.
fn spool_file(path: &str) -> Option<&str> {
    path.strip_prefix(SPOOL)?.strip_prefix('/')
}

/// Whether nothing is in a folder, if there is one, but what a disk of its own has.
fn check_is_empty(path: &Path) -> Result<()> {
    let is_ours = |(name, _): &(String, bool)| name != LOST_AND_FOUND;
    match entries(path).map_err(in_file(path))?.iter().any(is_ours) {
        false => Ok(()),
        true => Err(BackupError::NotEmpty(path.to_owned())),
    }
}

/// Refuses a folder within another one, whether or not it is there already.
pub fn refuse_within(path: &Path, folder: &Path) -> Result<()> {
    let absolute = |path: &Path| -> Result<PathBuf> {
        let path = std::path::absolute(path).map_err(in_file(path))?;
        // Of what is not there yet, the part that is may lead elsewhere.
        let there = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(&path);
        let missing = path.strip_prefix(there).unwrap_or(Path::new(""));
        Ok(there.canonicalize().map_err(in_file(there))?.join(missing))
    };
    match absolute(path)?.starts_with(absolute(folder)?) {
        true => Err(BackupError::WithinSpool(path.to_owned())),
        false => Ok(()),
    }
}

/// What is in a folder, and whether that is a folder; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<(String, bool)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    entries
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), entry.file_type()?.is_dir()))
        })
        .collect()
}

/// Every file, by its path below the folder; none where there is no folder.
fn files_below(folder: &Path) -> io::Result<Vec<String>> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(below) = folders.pop() {
        for (name, is_folder) in entries(&folder.join(&below))? {
            match is_folder {
                true => folders.push(format!("{below}{name}/")),
                false => files.push(format!("{below}{name}")),
            }
        }
    }
    Ok(files)
}

/// Counts and hashes what passes.
struct Hashing<W> {
    inner: W,
    bytes: u64,
    hash: Sha256,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, bytes: 0, hash: Sha256::new() }
    }

    fn end(self, path: String) -> SavedFile {
        let sha256 = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        SavedFile { path, bytes: self.bytes, sha256 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file that is being written.
pub struct CompressedFile {
    name: String,
    path: PathBuf,
    encoder: zstd::stream::write::Encoder<'static, Hashing<File>>,
}

impl CompressedFile {
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.encoder.write_all(bytes).map_err(in_file(&self.path))
    }

    pub fn end(self) -> Result<SavedFile> {
        let file = self.encoder.finish().map_err(in_file(&self.path))?;
        file.inner.sync_all().map_err(in_file(&self.path))?;
        Ok(file.end(self.name))
    }
}

/// What a compressed file holds.
pub struct Pieces {
    path: PathBuf,
    decoder: zstd::stream::read::Decoder<'static, BufReader<File>>,
}

impl Pieces {
    /// The next piece; none at the end.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let mut piece = Vec::new();
        let mut part = (&mut self.decoder).take(CHUNK_BYTES as u64);
        part.read_to_end(&mut piece).map_err(in_file(&self.path))?;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_table_comes_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::make(&directory.path().join("backup")).unwrap();
        let mut file = folder.compressed("postgres/users.copy.zst".to_owned()).unwrap();
        let line = b"1\tAnna\n".repeat(400_000);
        file.write(&line).unwrap();
        let saved = file.end().unwrap();
        folder.check(&saved).unwrap();
        let mut pieces = folder.decompressed(&saved).unwrap();
        let mut read = Vec::new();
        while let Some(piece) = pieces.next().unwrap() {
            assert!(piece.len() <= CHUNK_BYTES);
            read.extend(piece);
        }
        assert!(read == line);
    }

    fn spool_with(spool: &Path, names: &[&str]) {
        for name in names {
            let path = spool.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
    }

    #[test]
    fn a_spool_is_copied_what_waits_before_the_log_and_put_back_beside_what_is_not_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let (data, spool) = (directory.path().join("data"), directory.path().join("disk"));
        let names = [
            "held/a/000000000000.request",
            "results/000000000000-a.result",
            "dead-letters/row-1.json",
            "dead-letters/replay/row-2.json",
            "segment-1-1",
            "segment-2-9",
            "damaged-segment-0-1",
            "identity",
            "keys-20000.log",
            "message-keys-1.log",
            "touched-days.json",
            "summaries/a.json",
        ];
        spool_with(&spool, &names);
        spool_with(&spool, &["lock", "x.unfinished", "held/a/unfinished", "touched-days.tmp"]);
        spool_with(
            &spool,
            &["lost+found/4711", "notes.txt", "dead-letters/replay/row-3.json", "dead-letters/row-3.json"],
        );
        spool_with(&data, &["jwt_secret"]);
        let folder = Folder::make(&directory.path().join("backup")).unwrap();
        let files = folder.save_data_dir(&spool, &data).unwrap();
        let saved: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
        let mut expected: Vec<String> = names.iter().map(|name| format!("spool/{name}")).collect();
        expected.insert(4, "spool/dead-letters/replay/row-3.json".to_owned());
        expected[7..].sort_by_key(|name| (name.contains("summaries"), name.clone()));
        expected.push("jwt_secret".to_owned());
        assert_eq!(saved, expected);

        assert!(matches!(SpoolToFill::open(&spool, &data), Err(BackupError::NotEmpty(_))));
        fs::remove_dir_all(&data).unwrap();
        // A disk of its own can't be removed.
        for name in spool_files(&spool).unwrap() {
            fs::remove_file(spool.join(name)).unwrap();
        }
        let filled = SpoolToFill::open(&spool, &data).unwrap();
        assert!(matches!(SpoolToFill::open(&spool, &data), Err(BackupError::InUse(_))));
        filled.begin().unwrap();
        folder.fill_spool(&files, &filled).unwrap();
        folder.fill_data_dir(&files, &data).unwrap();
        drop(filled);
        // It did not end: whatever is there is taken out.
        spool_with(&spool, &["segment-7-7"]);
        let filled = SpoolToFill::open(&spool, &data).unwrap();
        assert!(filled.is_marked());
        filled.begin().unwrap();
        assert_eq!(spool_files(&spool).unwrap(), Vec::<String>::new());
        folder.fill_spool(&files, &filled).unwrap();
        filled.end().unwrap();
        assert!(!is_marked(&spool));
        for name in names.iter().chain(&["lost+found/4711", "notes.txt"]) {
            assert_eq!(fs::read_to_string(spool.join(name)).unwrap(), *name);
        }
        assert_eq!(fs::read_to_string(data.join("jwt_secret")).unwrap(), "jwt_secret");
    }

    #[test]
    fn a_backup_may_be_made_on_a_disk_of_its_own_and_over_nothing() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("lost+found")).unwrap();
        Folder::make(directory.path()).unwrap();
        fs::write(directory.path().join("lock"), "").unwrap();
        assert!(matches!(Folder::make(directory.path()), Err(BackupError::NotEmpty(_))));
    }

    #[test]
    fn a_file_that_was_changed_is_noticed_and_so_is_one_that_leads_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        fs::create_dir_all(data.join("spool")).unwrap();
        fs::write(data.join("spool/identity"), "identity").unwrap();
        let path = directory.path().join("backup");
        let folder = Folder::make(&path).unwrap();
        let files = folder.save_data_dir(&data.join("spool"), &data).unwrap();
        assert!(matches!(Folder::open(&path), Err(BackupError::NoBackup { .. })), "without a manifest");
        let postgres = super::super::manifest::Postgres { version: 1, tables: vec![], sequences: vec![] };
        let clickhouse = super::super::manifest::ClickHouse { version: 1, tables: vec![] };
        let mut manifest = Manifest::new(postgres, clickhouse, files);
        folder.write_manifest(&manifest).unwrap();
        Folder::open(&path).unwrap();
        fs::write(path.join("spool/identity"), "identitx").unwrap();
        assert!(matches!(Folder::open(&path), Err(BackupError::Damaged { .. })));
        let outside = path.join("spool").join(directory.path().strip_prefix("/").unwrap());
        fs::create_dir_all(&outside).unwrap();
        fs::write(outside.join("identity"), "identity").unwrap();
        let absolute = format!("spool/{}/identity", directory.path().display());
        fs::create_dir_all(path.join("postgres")).unwrap();
        fs::write(path.join("spool/identity"), "identity").unwrap();
        fs::write(path.join("postgres/identity"), "identity").unwrap();
        for elsewhere in ["../data/spool/identity", &absolute, "spool/./identity", "postgres/identity"] {
            manifest.files[0].path = elsewhere.to_owned();
            folder.write_manifest(&manifest).unwrap();
            assert!(matches!(Folder::open(&path), Err(BackupError::NoBackup { .. })), "{elsewhere}");
        }
    }
}
