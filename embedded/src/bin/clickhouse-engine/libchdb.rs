//! The C interface of `libchdb.so`, and nothing else: the only place with `unsafe`.
//!
//! The library is opened at run time (no link-time dependency), stays loaded for the life of the
//! process (`RTLD_NODELETE`: its threads outlive any handle) and keeps its symbols to itself
//! (`RTLD_LOCAL`: it carries its own allocator and C++ runtime).
//!
//! A [`Connection`] runs one statement at a time, which `&mut self` enforces. Everything here blocks.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::Path;
use std::ptr;

use bytes::Bytes;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// Linux's value; `libloading` exports no constant for it.
const RTLD_NODELETE: c_int = 0x1000;

type RawConnection = *mut c_void;
type RawResult = *mut c_void;
type RawInsert = *mut c_void;
type StartWithParams = unsafe extern "C" fn(
    RawConnection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> *mut c_void;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("cannot load the engine library {path}: {source}")]
    Open { path: String, source: libloading::Error },
    #[error("the engine library lacks {symbol}: {source}")]
    Symbol { symbol: &'static str, source: libloading::Error },
}

/// The functions of one loaded library.
pub struct Chdb {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut RawConnection,
    close_conn: unsafe extern "C" fn(*mut RawConnection),
    query: StartWithParams,
    insert_start: StartWithParams,
    insert_append: unsafe extern "C" fn(RawInsert, *const c_void, usize) -> c_int,
    insert_done: unsafe extern "C" fn(RawInsert) -> RawResult,
    insert_cancel: unsafe extern "C" fn(RawInsert),
    insert_error: unsafe extern "C" fn(RawInsert) -> *const c_char,
    insert_destroy: unsafe extern "C" fn(RawInsert),
    result_buffer: unsafe extern "C" fn(RawResult) -> *mut c_char,
    result_length: unsafe extern "C" fn(RawResult) -> usize,
    result_elapsed: unsafe extern "C" fn(RawResult) -> f64,
    result_rows: unsafe extern "C" fn(RawResult) -> u64,
    storage_rows: unsafe extern "C" fn(RawResult) -> u64,
    storage_bytes: unsafe extern "C" fn(RawResult) -> u64,
    rows_written: unsafe extern "C" fn(RawResult) -> u64,
    bytes_written: unsafe extern "C" fn(RawResult) -> u64,
    result_error: unsafe extern "C" fn(RawResult) -> *const c_char,
    destroy_result: unsafe extern "C" fn(RawResult),
    version: unsafe extern "C" fn() -> *const c_char,
}

impl Chdb {
    /// Loads the library for the rest of the process. Its signal handlers stay off: they would
    /// replace the gateway's own SIGTERM handling.
    pub fn load(path: &Path) -> Result<&'static Chdb, LoadError> {
        // SAFETY: the file is the pinned engine; its initialisers start no thread and touch no
        // state of ours.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) }
            .map_err(|source| LoadError::Open { path: path.display().to_string(), source })?;
        macro_rules! symbol {
            ($name:literal) => {
                // SAFETY: the field's type is the declaration of this function in `chdb.h` 26.7.
                *unsafe { library.get($name.as_bytes()) }
                    .map_err(|source| LoadError::Symbol { symbol: $name, source })?
            };
        }
        let chdb = Chdb {
            connect: symbol!("chdb_connect"),
            close_conn: symbol!("chdb_close_conn"),
            query: symbol!("chdb_query_with_params_n"),
            insert_start: symbol!("chdb_stream_insert_with_params_n"),
            insert_append: symbol!("chdb_stream_append"),
            insert_done: symbol!("chdb_stream_done"),
            insert_cancel: symbol!("chdb_stream_cancel_insert"),
            insert_error: symbol!("chdb_stream_insert_error"),
            insert_destroy: symbol!("chdb_destroy_insert_stream"),
            result_buffer: symbol!("chdb_result_buffer"),
            result_length: symbol!("chdb_result_length"),
            result_elapsed: symbol!("chdb_result_elapsed"),
            result_rows: symbol!("chdb_result_rows_read"),
            storage_rows: symbol!("chdb_result_storage_rows_read"),
            storage_bytes: symbol!("chdb_result_storage_bytes_read"),
            rows_written: symbol!("chdb_result_rows_written"),
            bytes_written: symbol!("chdb_result_bytes_written"),
            result_error: symbol!("chdb_result_error"),
            destroy_result: symbol!("chdb_destroy_query_result"),
            version: symbol!("chdb_version"),
        };
        let set_signal_handlers: unsafe extern "C" fn(c_int) = symbol!("chdb_set_signal_handlers_enabled");
        // SAFETY: takes an int, callable any time before the first connection.
        unsafe { set_signal_handlers(0) };
        // Closing would unload code that the engine's threads run.
        std::mem::forget(library);
        Ok(Box::leak(Box::new(chdb)))
    }

    pub fn version(&self) -> String {
        // SAFETY: returns a static NUL-terminated string.
        unsafe { CStr::from_ptr((self.version)()) }.to_string_lossy().into_owned()
    }

    /// Opens a connection; `None` when the engine refuses the arguments (it gives no reason).
    pub fn open(&'static self, arguments: &[String]) -> Option<Connection> {
        let strings: Vec<CString> = std::iter::once("clickhouse-engine")
            .chain(arguments.iter().map(String::as_str))
            .map(CString::new)
            .collect::<Result<_, _>>()
            .ok()?;
        let mut pointers: Vec<*mut c_char> = strings.iter().map(|s| s.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len()).ok()?;
        // SAFETY: `pointers` holds `count` NUL-terminated strings that live until the call returns;
        // the engine copies them.
        let handle = unsafe { (self.connect)(count, pointers.as_mut_ptr()) };
        if handle.is_null() {
            return None;
        }
        Some(Connection { chdb: self, handle })
    }
}

/// Counters of a finished statement, as `X-ClickHouse-Summary` reports them.
#[derive(Debug, Default, Clone, Copy)]
pub struct Statistics {
    pub read_rows: u64,
    pub read_bytes: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
    pub result_rows: u64,
    pub elapsed_seconds: f64,
}

/// A statement's outcome: formatted bytes with counters, or the engine's error text.
pub type Outcome = Result<(Bytes, Statistics), String>;

pub struct Connection {
    chdb: &'static Chdb,
    handle: *mut RawConnection,
}

// SAFETY: the engine locks each connection internally and binds none to a thread; `&mut self`
// keeps to one statement at a time.
unsafe impl Send for Connection {}

impl Connection {
    fn raw(&self) -> RawConnection {
        // SAFETY: a non-null handle from `chdb_connect` points at the connection until closed.
        unsafe { *self.handle }
    }

    /// Runs a statement and materialises its result. `format` is the default when the text names
    /// none; parameter values are in escaped TSV form, as in URLs.
    pub fn query(&mut self, sql: &str, format: &str, parameters: &[(String, String)]) -> Outcome {
        let result = self.start(self.chdb.query, sql, format, parameters);
        self.take_outcome(result)
    }

    /// Inserts `chunks`, a complete body in `format`; all or nothing up to the engine's insert
    /// block size. Stops feeding when the engine reports an error or `cancelled` says so.
    pub fn insert(
        &mut self,
        sql: &str,
        format: &str,
        parameters: &[(String, String)],
        chunks: &[Bytes],
        cancelled: impl Fn() -> bool,
    ) -> Outcome {
        let stream = self.start(self.chdb.insert_start, sql, format, parameters);
        if stream.is_null() {
            return Err("the engine returned no insert stream".to_owned());
        }
        let outcome = self.feed(stream, chunks, cancelled);
        // SAFETY: `stream` is live, finalised or cancelled, and not used again.
        unsafe { (self.chdb.insert_destroy)(stream) };
        outcome
    }

    fn feed(&mut self, stream: RawInsert, chunks: &[Bytes], cancelled: impl Fn() -> bool) -> Outcome {
        if let Some(error) = self.text((self.chdb.insert_error, stream)) {
            return Err(error);
        }
        for chunk in chunks {
            if cancelled() {
                // SAFETY: `stream` is live; cancelling is allowed until it is finalised.
                unsafe { (self.chdb.insert_cancel)(stream) };
                return Err("Code: 394. DB::Exception: Query was cancelled. (QUERY_WAS_CANCELLED)".to_owned());
            }
            // SAFETY: the chunk is copied before the call returns.
            let state = unsafe { (self.chdb.insert_append)(stream, chunk.as_ptr().cast(), chunk.len()) };
            if state != 0 {
                // `done` below waits for the worker and tells why it stopped.
                break;
            }
        }
        // SAFETY: `stream` is live and finalised once.
        let result = unsafe { (self.chdb.insert_done)(stream) };
        self.take_outcome(result)
    }

    fn start(
        &mut self,
        function: StartWithParams,
        sql: &str,
        format: &str,
        parameters: &[(String, String)],
    ) -> *mut c_void {
        let names: Vec<*const c_char> = parameters.iter().map(|p| p.0.as_ptr().cast()).collect();
        let name_lengths: Vec<usize> = parameters.iter().map(|p| p.0.len()).collect();
        let values: Vec<*const c_char> = parameters.iter().map(|p| p.1.as_ptr().cast()).collect();
        let value_lengths: Vec<usize> = parameters.iter().map(|p| p.1.len()).collect();
        // SAFETY: every pointer comes with its length and lives until the call returns.
        unsafe {
            function(
                self.raw(),
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                parameters.len(),
            )
        }
    }

    fn text(
        &self,
        (function, handle): (unsafe extern "C" fn(*mut c_void) -> *const c_char, *mut c_void),
    ) -> Option<String> {
        // SAFETY: `handle` is live; the string belongs to it and is copied here.
        unsafe {
            let message = function(handle);
            if message.is_null() {
                return None;
            }
            Some(CStr::from_ptr(message).to_string_lossy().into_owned())
        }
    }

    fn take_outcome(&self, handle: RawResult) -> Outcome {
        if handle.is_null() {
            return Err("the engine returned no result".to_owned());
        }
        let chdb = self.chdb;
        let result = OwnedResult { chdb, handle };
        if let Some(error) = self.text((chdb.result_error, handle)) {
            return Err(error);
        }
        // SAFETY: `handle` is live until `result` is dropped.
        let statistics = unsafe {
            Statistics {
                read_rows: (chdb.storage_rows)(handle),
                read_bytes: (chdb.storage_bytes)(handle),
                written_rows: (chdb.rows_written)(handle),
                written_bytes: (chdb.bytes_written)(handle),
                result_rows: (chdb.result_rows)(handle),
                elapsed_seconds: (chdb.result_elapsed)(handle),
            }
        };
        Ok((Bytes::from_owner(result), statistics))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the handle is live and closed once.
        unsafe { (self.chdb.close_conn)(self.handle) };
    }
}

/// A result that stays in the engine's memory while the answer is being sent.
struct OwnedResult {
    chdb: &'static Chdb,
    handle: RawResult,
}

// SAFETY: a materialised result is plain memory, independent of its connection and thread.
unsafe impl Send for OwnedResult {}

impl AsRef<[u8]> for OwnedResult {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: buffer and length describe memory that lives until the result is destroyed.
        unsafe {
            let buffer: *const u8 = (self.chdb.result_buffer)(self.handle).cast();
            let length = (self.chdb.result_length)(self.handle);
            if ptr::eq(buffer, ptr::null()) || length == 0 {
                return &[];
            }
            std::slice::from_raw_parts(buffer, length)
        }
    }
}

impl Drop for OwnedResult {
    fn drop(&mut self) {
        // SAFETY: the handle is live and destroyed once.
        unsafe { (self.chdb.destroy_result)(self.handle) };
    }
}

/// Ends the process without running destructors: the engine's can crash.
pub fn exit_now(code: i32) -> ! {
    unsafe extern "C" {
        fn _exit(code: c_int) -> !;
    }
    // SAFETY: `_exit` takes any status and has no precondition.
    unsafe { _exit(code) }
}
