//! Real software, unmodified, in default containers: an image built by buildah from Debian packages, pushed to a real
//! registry on loopback and pulled from there.

use std::process::Command;
use std::sync::OnceLock;

use bulkhead_tests::{Container, DEBIAN, Home, Registry, must, root_is_here, shared};

const PACKAGES: &str =
    "nginx-light redis-server postgresql python3 nodejs openjdk-17-jdk-headless gcc libc6-dev procps";
const IMAGE: &str = "test/software:1";

/// The home with the image in it; built once and then kept with the shared home.
fn home() -> &'static Home {
    static READY: OnceLock<()> = OnceLock::new();
    let home = shared();
    READY.get_or_init(|| {
        if home.bulkhead(["image", "inspect", IMAGE]).code != 0 {
            build(home);
        }
    });
    home
}

fn build(home: &Home) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let registry = Registry::start(folder.path(), "");
    home.bulkhead(["save", "-o", &path("base.tar"), DEBIAN]).ok();
    let (root, run) = (path("buildah"), path("buildah-run"));
    let buildah = |words: &[&str]| {
        let mut command = Command::new("buildah");
        command.args(["--root", &root, "--runroot", &run, "--storage-driver", "overlay"]).args(words);
        must(&mut command)
    };
    let container = buildah(&["from", "--name", "work", &format!("docker-archive:{}", path("base.tar"))]);
    let install = format!(
        "export DEBIAN_FRONTEND=noninteractive; apt-get update -qq && apt-get install -y -qq --no-install-recommends {PACKAGES} && rm -rf /var/lib/apt/lists/*"
    );
    buildah(&["run", "--isolation", "chroot", "--network", "host", &container, "--", "sh", "-c", &install]);
    buildah(&["config", "--cmd", "[\"bash\"]", "--label", "test=software", &container]);
    buildah(&["commit", "-q", &container, "software"]);
    let target = format!("{}/software:1", registry.address);
    buildah(&["push", "--tls-verify=false", "software", &format!("docker://{target}")]);
    home.bulkhead(["pull", "-q", &target]).ok();
    home.bulkhead(["tag", &target, IMAGE]).ok();
    home.bulkhead(["rmi", &target]).ok();
    buildah(&["rm", "-a"]);
    buildah(&["rmi", "-a", "-f"]);
    drop(registry);
}

/// Runs a script in a fresh default container and returns what it printed.
fn script(text: &str) -> String {
    home().bulkhead(["run", "--rm", IMAGE, "bash", "-euc", text]).ok()
}

#[test]
fn postgresql_initialises_serves_and_runs_a_load() {
    if !root_is_here() {
        return;
    }
    let text = "mkdir /var/db; chown postgres /var/db; \
        run() { su postgres -s /bin/bash -c \"PATH=$(echo /usr/lib/postgresql/*/bin):$PATH; $1\"; }; \
        run 'initdb -D /var/db >/dev/null && pg_ctl -D /var/db -l /tmp/log -w start >/dev/null'; \
        run 'createdb t && pgbench -q -i -s 1 t 2>/dev/null && pgbench -n -c 4 -j 2 -t 200 t' | grep processed; \
        run 'psql -At t -c \"select count(*) from pgbench_history\"'; run 'pg_ctl -D /var/db -m fast stop >/dev/null'";
    let said = script(text);
    assert!(said.contains("800/800") && said.ends_with("800"), "{said}");
}

#[test]
fn redis_serves_and_runs_its_benchmark() {
    if !root_is_here() {
        return;
    }
    let text = "redis-server --daemonize yes --save '' --dir /tmp >/dev/null; \
        until redis-cli ping >/dev/null 2>&1; do sleep 0.1; done; \
        redis-benchmark -q -n 5000 -t set,get >/dev/null; redis-cli set a b; redis-cli get a; redis-cli bgsave; sleep 1; redis-cli lastsave >/dev/null";
    assert!(script(text).starts_with("OK\nb\n"));
}

#[test]
fn nginx_serves_to_another_process() {
    if !root_is_here() {
        return;
    }
    let home = home();
    let container = Container::start(home, &[IMAGE, "nginx", "-g", "daemon off;"]);
    let fetch = "import urllib.request, time\nfor _ in range(50):\n  try: print(urllib.request.urlopen('http://127.0.0.1/').status); break\n  except OSError: time.sleep(0.1)";
    assert_eq!(home.bulkhead(["exec", &container.name, "python3", "-c", fetch]).ok(), "200");
}

#[test]
fn python_uses_threads_processes_sqlite_and_ssl() {
    if !root_is_here() {
        return;
    }
    let text = "python3 - <<'P'\nimport multiprocessing, sqlite3, ssl, threading, socket, tempfile, asyncio\n\
        with multiprocessing.Pool(2) as pool: print(sum(pool.map(abs, range(-5, 5))))\n\
        db = sqlite3.connect('/tmp/x.db'); db.execute('create table t(a)'); db.commit()\n\
        ssl.create_default_context(); asyncio.run(asyncio.sleep(0.01))\nP";
    assert_eq!(script(text), "25");
}

#[test]
fn node_runs_workers_and_a_server() {
    if !root_is_here() {
        return;
    }
    let text = "node -e \"const {Worker}=require('worker_threads');const http=require('http');\
        const s=http.createServer((q,r)=>r.end('hi')).listen(8080,()=>http.get('http://127.0.0.1:8080',r=>r.on('data',d=>{\
        const w=new Worker('require(\\'worker_threads\\').parentPort.postMessage(42)',{eval:true});\
        w.on('message',m=>{console.log(String(d),m);s.close()})})))\"";
    assert_eq!(script(text), "hi 42");
}

#[test]
fn a_jvm_compiles_and_runs_threads() {
    if !root_is_here() {
        return;
    }
    let text = "cat > /tmp/Main.java <<'J'\nimport java.util.stream.*; public class Main { public static void main(String[] a) throws Exception {\n\
        var t = new Thread(() -> System.gc()); t.start(); t.join();\n\
        System.out.println(IntStream.range(0, 1000000).parallel().filter(i -> i % 3 == 0).count()); } }\nJ\njava /tmp/Main.java";
    assert_eq!(script(text), "333334");
}

#[test]
fn gcc_compiles_and_the_program_runs() {
    if !root_is_here() {
        return;
    }
    let text =
        "cd /tmp; printf '#include <stdio.h>\\nint main(){puts(\"built\");return 0;}' > a.c; gcc -O2 -o a a.c; ./a";
    assert_eq!(script(text), "built");
}

#[test]
fn apt_installs_a_package() {
    if !root_is_here() {
        return;
    }
    let text = "apt-get update -qq && apt-get install -y -qq --no-install-recommends tree >/dev/null 2>&1; tree --version | cut -d' ' -f1";
    let run = home().bulkhead(["run", "--rm", "--network", "host", DEBIAN, "bash", "-euc", text]);
    assert!(run.ok().ends_with("tree"), "{run:?}");
}
