"""Programs on the JVM: where they are installed, compiled, and how one is started."""

from core import CACHE, HERE, TOP, call

JVM = CACHE / "jvm"
CLASSES = JVM / "classes"
# Short programs start sooner without the optimising compiler.
QUICK = ("-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


def install(peer):
    """Fetches a peer of scripts/peers/install.sh into the cache."""
    call([TOP / "scripts/peers/install.sh", "--dir", JVM, peer])


def java(peer, main, *arguments):
    home = JVM / peer
    log = f"-Dlog4j.configuration=file:{home}/log4j.properties"
    return ["java", *QUICK, log, "-cp", f"{CLASSES}:{home}/libs/*", main, *arguments]


def compile_with(peer, name):
    CLASSES.mkdir(parents=True, exist_ok=True)
    source = HERE / f"jvm/{name}.java"
    javac = ["javac", "--release", "8", "-Xlint:-options", "-d", CLASSES]
    call([*javac, "-cp", JVM / peer / "libs/*", source])
