//! A task may outlive the function that spawns it, so it borrows nothing.

async fn program() {
    let text = String::from("gone");
    saferring::spawn(async { println!("{}", text.as_str()) });
}

fn main() {}
