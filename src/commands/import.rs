//! `import`: brings what was played before to the stores of a service.

use super::{CommandError, load, print_json};
use crate::{
    cli::ImportArguments,
    config::Purpose,
    import::{ImportOptions, import as import_files},
};

pub fn import(arguments: ImportArguments) -> Result<(), CommandError> {
    let config = load(arguments.settings, Purpose::IMPORT)?;
    let options = ImportOptions {
        server_id: arguments.server,
        files: arguments.files,
        format: arguments.format,
        began: arguments.began,
        dry_run: arguments.dry_run,
    };
    let report = actix_web::rt::System::new()
        .block_on(import_files(&config, &options, |line| eprintln!("{line}")))
        .map_err(CommandError::failed)?;
    print_json(&report)
}
