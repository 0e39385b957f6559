"""JavaScript's clients, from npm."""

from core import HERE, call, checks, client, create_topic


def install_package(place, package):
    def install():
        (place.home / "package.json").write_text('{"private": true}\n')
        # Headers come with Node.js from Debian's packages; npm would fetch others.
        environment = {"npm_config_nodedir": "/usr", "npm_config_fund": "false"}
        wanted = f"{package}@{place.client.version}"
        call(["npm", "install", "--no-audit", wanted], cwd=place.home, environment=environment)

    place.installed(f"{package} {place.client.version}", install)


def register_tour(name, package, version):
    @client(
        name,
        version,
        "a program that produces idempotently, reads as a group of one and then of two that goes "
        "on where it stopped, and administers",
        when="long",
        install=lambda place: install_package(place, package),
    )
    def tour(place):
        def whole():
            create_topic(place.bootstrap, "tour", 3)
            command = ["node", HERE / "node/tour.js", package, place.bootstrap, "tour"]
            modules = {"NODE_PATH": place.home / "node_modules"}
            text, _ = call(command, timeout=240, environment=modules)
            assert text.rstrip().endswith("done"), text

        return checks([("tour", whole)])


register_tour("kafkajs", "kafkajs", "2.2.4")
