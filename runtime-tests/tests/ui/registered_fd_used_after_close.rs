//! A direct descriptor is released with its value: what is closed, or made an ordinary one, cannot be used.

use saferring::op::RegisteredFd;

async fn program(file: RegisteredFd, socket: RegisteredFd) -> std::io::Result<()> {
    let ordinary = file.install().await?;
    file.read_at([0; 8], 0).await.0?;
    drop(ordinary);
    socket.close().await?;
    socket.recv([0; 8]).await.0?;
    Ok(())
}

fn main() {}
