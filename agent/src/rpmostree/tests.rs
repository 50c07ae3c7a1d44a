use cuo_core::host::Deployment;

use super::*;
use crate::testing::deployment;

/// Does not compile if an operation can't run in a task of its own.
#[test]
fn operations_can_be_spawned() {
    fn spawn(_: impl Future<Output: Send> + Send) {}
    let client = Client::new(Bus::system(), Limits::default());
    spawn(client.host());
    spawn(client.stage(None, |_| ()));
    spawn(client.check(|_| ()));
    let deployment = deployment("one", true);
    spawn(client.ready());
    async fn ends(ready: Ready, deployment: &Deployment) {
        spawn(ready.finalize(deployment));
        spawn(ready.roll_back(deployment));
    }
    let _ = |ready| spawn(ends(ready, &deployment));
}
