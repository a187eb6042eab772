//! The command line door: Docker's verbs, one file each, straight onto the engine. No daemon is needed for any verb.
//!
//! * **Is:** words in, words out. A verb parses its records, calls one or two methods of the engine, prints.
//! * **Must never know:** namespaces, HTTP, how a container is held.
//! * **Types in:** the argument vector. **Types out:** an exit code as Docker's users expect it.
//! * **Invariants:** only the verb that was named is built and parsed; the terminal is put back on every way out.
//! * **Tests:** beside each module; `tests/verbs` of the workspace drives the shipped program.

mod arguments;
mod console;
mod dispatch;
mod env;
mod failure;
mod filters;
mod records;
mod session;
mod show;
mod stream;
mod template;
mod usage;
mod verbs;

fn main() -> std::process::ExitCode {
    // A converter gives up all its rights before anything else happens in it.
    let words: Vec<_> = std::env::args_os().skip(1).take(3).collect();
    if let [internal, convert, layer] = words.as_slice()
        && internal == "internal"
        && convert == "convert-layer"
    {
        return bulkhead_engine::convert_layer(&layer.to_string_lossy()).into();
    }
    dispatch::main()
}
