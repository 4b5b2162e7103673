//! Tells the program which version of `redis` it was built with, from the lock file.
fn main() {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    let after = lock.split("name = \"redis\"\nversion = \"").nth(1).unwrap_or("?\"");
    println!("cargo::rustc-env=REDIS_VERSION={}", after.split('"').next().unwrap_or("?"));
    println!("cargo::rerun-if-changed=Cargo.lock");
}
