"""JavaScript's clients, from npm."""

from core import HERE, call, checks, client, create_topic


# Headers come with Node.js from Debian's packages; npm would fetch others.
NPM = {"npm_config_nodedir": "/usr", "npm_config_fund": "false"}


def npm_install(place, package, *options):
    (place.home / "package.json").write_text('{"private": true}\n')
    wanted = f"{package}@{place.client.version}"
    call(["npm", "install", "--no-audit", *options, wanted], cwd=place.home, environment=NPM)


def install_package(place, package):
    install = lambda: npm_install(place, package)  # noqa: E731
    place.installed(f"{package} {place.client.version}", install)


def install_confluent(place, package):
    """Builds the addon on the librdkafka that the package carries.

    Its own way would fetch a finished one, or the sources of further libraries.
    """

    def install():
        npm_install(place, package, "--ignore-scripts")
        addon = place.home / "node_modules" / package
        source, prefix = addon / "deps/librdkafka", place.home / "librdkafka"
        without = ["--disable-gssapi", "--disable-curl", "--disable-ssl"]
        call(["./configure", f"--prefix={prefix}", *without], cwd=source)
        call(["make", "-j2", "libs"], cwd=source)
        for part in ("src", "src-cpp"):
            call(["make", "-C", part, "install"], cwd=source)
        environment = NPM | {
            "BUILD_LIBRDKAFKA": 0,
            # Before those of the system's librdkafka, if there is one.
            "CXX": f"g++ -I{prefix}/include -I{prefix}/include/librdkafka",
            "LIBRARY_PATH": prefix / "lib",
            "LD_RUN_PATH": prefix / "lib",
        }
        build = [place.home / "node_modules/.bin/node-pre-gyp", "install", "--build-from-source"]
        call(build, cwd=addon, environment=environment)

    place.installed(f"{package} {place.client.version}", install)


def register_tour(name, package, version, install=install_package, when="long"):
    @client(
        name,
        version,
        "a program that produces idempotently, reads as a group of one and then of two that goes "
        "on where it stopped, copies in transactions with a group's offsets, and administers",
        when=when,
        install=lambda place: install(place, package),
    )
    def tour(place):
        def whole():
            for topic in ("tour", "tour-copy"):
                create_topic(place.bootstrap, topic, 3)
            command = ["node", HERE / "node/tour.js", package, place.bootstrap, "tour"]
            modules = {"NODE_PATH": place.home / "node_modules"}
            text, _ = call(command, timeout=240, environment=modules)
            assert text.rstrip().endswith("done"), text

        return checks([("tour", whole)])


register_tour("kafkajs", "kafkajs", "2.2.4")
register_tour(
    "confluent-javascript",
    "@confluentinc/kafka-javascript",
    "1.10.1",
    install_confluent,
    when="never",
)
