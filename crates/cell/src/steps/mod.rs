//! One file per step: what it does, why at this place, which attack it answers. [`run`] is the only way in.

mod assume_root;
mod attach_mounts;
mod attach_root;
mod bounding_set;
mod capabilities;
mod cgroup_namespace;
mod close_handles;
mod close_user_namespaces;
mod copy_up;
mod create_hooks;
mod die_with_parent;
mod enter_cgroup;
mod execute;
mod filter;
mod foreign_devices;
mod foreign_mounts;
mod hostname;
mod identity;
mod init;
mod join_namespaces;
mod loopback;
mod make_working_directory;
mod mask_paths;
mod new_session;
mod no_new_privileges;
mod pivot;
mod private_mounts;
mod read_only_paths;
mod read_only_root;
mod resource_limits;
mod root_propagation;
mod sealed;
mod settings;
mod signals;
mod sources;
mod start_hooks;
mod stdio;
mod sysctls;
mod terminal;
mod working_directory;

use bulkhead_plan::steps::Step;

use crate::scene::{Outcome, Scene};

pub use resource_limits::resource;

/// Does one step.
pub fn run(step: Step, scene: &mut Scene<'_>) -> Outcome {
    match step {
        Step::DieWithParent => die_with_parent::run(scene),
        Step::NewSession => new_session::run(scene),
        Step::EnterCgroup => enter_cgroup::run(scene),
        Step::JoinNamespaces => join_namespaces::run(scene),
        Step::AssumeRoot => assume_root::run(scene),
        Step::CgroupNamespace => cgroup_namespace::run(scene),
        Step::Loopback => loopback::run(scene),
        Step::PrivateMounts => private_mounts::run(scene),
        Step::AttachRoot => attach_root::run(scene),
        Step::AttachMounts => attach_mounts::run(scene),
        Step::ForeignMounts => foreign_mounts::run(scene),
        Step::ForeignDevices => foreign_devices::run(scene),
        Step::CreateHooks => create_hooks::run(scene),
        Step::Pivot => pivot::run(scene),
        Step::Terminal => terminal::run(scene),
        Step::RootPropagation => root_propagation::run(scene),
        Step::Hostname => hostname::run(scene),
        Step::Sysctls => sysctls::run(scene),
        Step::CloseUserNamespaces => close_user_namespaces::run(scene),
        Step::MakeWorkingDirectory => make_working_directory::run(scene),
        Step::MaskPaths => mask_paths::run(scene),
        Step::ReadOnlyPaths => read_only_paths::run(scene),
        Step::ReadOnlyRoot => read_only_root::run(scene),
        Step::Stdio => stdio::run(scene),
        Step::ResourceLimits => resource_limits::run(scene),
        Step::Settings => settings::run(scene),
        Step::BoundingSet => bounding_set::run(scene),
        Step::Identity => identity::run(scene),
        Step::Capabilities => capabilities::run(scene),
        Step::WorkingDirectory => working_directory::run(scene),
        Step::NoNewPrivileges => no_new_privileges::run(scene),
        Step::Signals => signals::run(scene),
        Step::CloseHandles => close_handles::run(scene),
        Step::Sealed => sealed::run(scene),
        Step::StartHooks => start_hooks::run(scene),
        Step::Filter => filter::run(scene),
        Step::Init => init::run(scene),
        Step::Execute => execute::run(scene),
    }
}
