//! PostgreSQL: every table as `COPY` writes it, out of one snapshot and into one transaction.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::files::{Folder, rows_of_copy};
use super::manifest::{Postgres, PostgresTable};
use super::{BackupError, Result};
use crate::clickhouse::schema::RESTORE_MARK;

/// Tables of the service, and the columns that are stored, both ready to stand in a statement.
const TABLES: &str = "
    SELECT c.relname::text, quote_ident(c.relname), string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
    FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
        AND c.relname NOT IN ('_sqlx_migrations', 'restore_unfinished')
    GROUP BY c.oid, c.relname
    ORDER BY c.relname";

const VERSION: &str = "SELECT max(version) FROM _sqlx_migrations WHERE success";

/// Foreign keys that are checked at the end of each statement: table, name, both ready to stand in a statement.
const FOREIGN_KEYS: &str = "
    SELECT conrelid::regclass::text, quote_ident(conname)
    FROM pg_constraint
    WHERE connamespace = current_schema()::regnamespace AND contype = 'f' AND NOT condeferrable
    ORDER BY 1, 2";

/// PostgreSQL as it was at one moment.
pub struct Snapshot {
    connection: PgConnection,
}

/// Names are quoted by PostgreSQL itself, and nothing else of ours is put into a statement.
async fn execute(connection: &mut PgConnection, statement: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

/// A connection of its own, whose statements take as long as they take.
async fn patient_connection(pool: &PgPool) -> Result<PgConnection> {
    let mut connection = pool.acquire().await?.detach();
    execute(&mut connection, "SET statement_timeout = 0".to_owned()).await?;
    Ok(connection)
}

impl Snapshot {
    /// Every later statement sees what is committed now.
    pub async fn begin(pool: &PgPool) -> Result<Self> {
        let mut connection = patient_connection(pool).await?;
        execute(&mut connection, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned()).await?;
        // The snapshot is taken by the first question.
        sqlx::query_scalar::<_, Option<i64>>(VERSION).fetch_one(&mut connection).await?;
        Ok(Self { connection })
    }

    /// Writes out every table.
    pub async fn save(mut self, folder: &Folder) -> Result<Postgres> {
        let connection = &mut self.connection;
        let version: i64 = sqlx::query_scalar(VERSION).fetch_one(&mut *connection).await?;
        let names: Vec<(String, String, String)> = sqlx::query_as(TABLES).fetch_all(&mut *connection).await?;
        let mut tables = Vec::with_capacity(names.len());
        for (name, quoted, columns) in names {
            let mut file = folder.compressed(format!("postgres/{name}.copy.zst"))?;
            let mut rows = 0;
            {
                let statement = format!("COPY {quoted} ({columns}) TO STDOUT");
                let mut pieces = connection.copy_out_raw(&statement).await?;
                while let Some(piece) = pieces.try_next().await? {
                    rows += rows_of_copy(&piece);
                    file.write(&piece)?;
                }
            }
            let file = file.end()?;
            tables.push(PostgresTable { name, columns, rows, file });
        }
        let sequences = sqlx::query_as(
            "SELECT sequencename::text, last_value FROM pg_sequences
             WHERE schemaname = current_schema() AND last_value IS NOT NULL ORDER BY 1",
        )
        .fetch_all(&mut *connection)
        .await?;
        execute(connection, "COMMIT".to_owned()).await?;
        Ok(Postgres { version, tables, sequences })
    }
}

/// A database that is being filled; nothing of it shows before the end.
pub struct Filling {
    connection: PgConnection,
    /// Names, and names and columns ready to stand in a statement.
    tables: Vec<(String, String, String)>,
    /// Whether what it holds is there by a restore that did not end.
    is_marked: bool,
}

impl Filling {
    /// `may_be_marked` where another store says that a restore did not end: PostgreSQL's own mark is taken away last, and may have stayed.
    ///
    /// # Errors
    /// When the schema is of another version than the backup's, or somebody has used the database.
    pub async fn begin(pool: &PgPool, saved: &Postgres, may_be_marked: bool) -> Result<Self> {
        let mut connection = patient_connection(pool).await?;
        let version: i64 = sqlx::query_scalar(VERSION).fetch_one(&mut connection).await?;
        if version != saved.version {
            return Err(BackupError::OtherSchema {
                of_backup: format!("PostgreSQL {}", saved.version),
                of_program: format!("PostgreSQL {version}"),
            });
        }
        execute(&mut connection, "BEGIN".to_owned()).await?;
        let is_marked: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(RESTORE_MARK)
            .fetch_one(&mut connection)
            .await?;
        let is_marked = is_marked && may_be_marked;
        // What migrations themselves put into other tables is replaced.
        for table in ["users", "servers", "match_summaries", "tournaments", "teams"] {
            let question = format!("SELECT EXISTS (SELECT FROM {table})");
            let is_used: bool =
                sqlx::query_scalar(AssertSqlSafe(question)).fetch_one(&mut connection).await?;
            if is_used && !is_marked {
                return Err(BackupError::StoreNotEmpty(format!("PostgreSQL ({table})")));
            }
        }
        let tables: Vec<(String, String, String)> = sqlx::query_as(TABLES).fetch_all(&mut connection).await?;
        // Nothing that a manifest says gets into a statement: it has to be what the schema says.
        let is_known = |saved: &PostgresTable| {
            tables.iter().any(|(name, _, columns)| (name, columns) == (&saved.name, &saved.columns))
        };
        if let Some(unknown) = saved.tables.iter().find(|table| !is_known(table)) {
            return Err(BackupError::OtherSchema {
                of_backup: format!("it has a table {} ({})", unknown.name, unknown.columns),
                of_program: "it has none like that".to_owned(),
            });
        }
        Ok(Self { connection, tables, is_marked })
    }

    pub fn is_marked(&self) -> bool {
        self.is_marked
    }

    /// Fills the tables in whatever order they come: triggers rest, and foreign keys are looked at when all rows are there.
    pub async fn fill(mut self, saved: &Postgres, folder: &Folder) -> Result<Self> {
        let connection = &mut self.connection;
        let keys: Vec<(String, String)> = sqlx::query_as(FOREIGN_KEYS).fetch_all(&mut *connection).await?;
        let all: Vec<&str> = self.tables.iter().map(|(_, quoted, _)| quoted.as_str()).collect();
        for table in &all {
            execute(connection, format!("ALTER TABLE {table} DISABLE TRIGGER USER")).await?;
        }
        execute(connection, format!("TRUNCATE {}", all.join(", "))).await?;
        for (table, key) in &keys {
            let statement =
                format!("ALTER TABLE {table} ALTER CONSTRAINT {key} DEFERRABLE INITIALLY DEFERRED");
            execute(connection, statement).await?;
        }
        for table in &saved.tables {
            let Some((_, quoted, columns)) = self.tables.iter().find(|(name, ..)| *name == table.name) else {
                continue;
            };
            let statement = format!("COPY {quoted} ({columns}) FROM STDIN");
            let mut copy = connection.copy_in_raw(&statement).await?;
            let mut pieces = folder.decompressed(&table.file)?;
            while let Some(piece) = pieces.next()? {
                copy.send(piece).await?;
            }
            let rows = copy.finish().await?;
            if rows != table.rows {
                let (found, expected) = (format!("{rows} rows"), format!("{} rows", table.rows));
                return Err(BackupError::differs(&table.name, &found, &expected));
            }
        }
        execute(connection, "SET CONSTRAINTS ALL IMMEDIATE".to_owned()).await?;
        for (table, key) in &keys {
            execute(connection, format!("ALTER TABLE {table} ALTER CONSTRAINT {key} NOT DEFERRABLE")).await?;
        }
        for table in &all {
            execute(connection, format!("ALTER TABLE {table} ENABLE TRIGGER USER")).await?;
        }
        for (sequence, last_value) in &saved.sequences {
            sqlx::query("SELECT setval(quote_ident($1)::regclass, $2)")
                .bind(sequence)
                .bind(last_value)
                .execute(&mut *connection)
                .await?;
        }
        // Seen when all the rest is: that they are there by a restore, which has something left to do.
        execute(connection, format!("CREATE TABLE IF NOT EXISTS {RESTORE_MARK} ()")).await?;
        Ok(self)
    }

    pub async fn commit(mut self) -> Result<()> {
        execute(&mut self.connection, "COMMIT".to_owned()).await
    }
}

/// Takes the mark away.
pub async fn end(pool: &PgPool) -> Result<()> {
    let mut connection = pool.acquire().await?;
    execute(&mut connection, format!("DROP TABLE IF EXISTS {RESTORE_MARK}")).await
}
