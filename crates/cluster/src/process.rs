//! Runs a program that talks to the API server.

use std::process::ExitCode;

/// Runs `program` on this thread until it ends. Its errors on the standard error output begin with `name`.
///
/// Other threads of its client end with the process, instead of delaying its end: a name lookup that is still running, for instance.
pub fn run(name: &str, program: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{name}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(program);
    runtime.shutdown_background();
    code
}
