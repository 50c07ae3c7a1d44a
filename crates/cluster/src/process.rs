//! The process of a program that speaks to the API server.

use std::process::ExitCode;

/// Runs `program`, which is called `name` on the standard error output, to its end on this thread.
///
/// What its client has left on other threads ends with the process: a name that the system is still looking up, for instance, would hold
/// it up for as long.
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
