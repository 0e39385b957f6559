#!/usr/bin/env bash
# Installs Apache Kafka and ZooKeeper from their published Maven artifacts, to
# run beside Odradek in tests and measurements: as servers, clients and tools.
#
#   install.sh [--dir DIR] [PEER...]
#       PEER: kafka39 kafka4 kafka28 kafka11 clients10 clients102
#             streams connect zookeeper zookeeper34 curator
#             (default: kafka39 zookeeper curator)
#       DIR:  where they go (default: .peers at the top of the repository)
#
# Afterwards:  DIR/kafka39/run kafka.Kafka server.properties
#              DIR/kafka39/run org.apache.kafka.tools.TopicCommand --list ...
#              DIR/zookeeper/run org.apache.zookeeper.server.quorum.QuorumPeerMain zoo.cfg
# Needs java 17 or newer, and mvn. HEAP (default 1g) sets the heap of a peer.
set -euo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
dir=$top/.peers
if [ "${1:-}" = --dir ]; then
  dir=${2:?usage: install.sh [--dir DIR] [PEER...]}
  shift 2
fi
[ $# -gt 0 ] || set -- kafka39 zookeeper curator

fail() { echo "peers/install.sh: $*" >&2; exit 1; }

dependency() {
  printf '<dependency><groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></dependency>\n' "$@"
}

dependencies_of() {
  case $1 in
    kafka39)
      dependency org.apache.kafka kafka_2.13 3.9.1
      dependency org.apache.kafka kafka-tools 3.9.1
      dependency com.github.luben zstd-jni 1.5.6-4
      dependency org.slf4j slf4j-reload4j 1.7.36 ;;
    kafka4)
      dependency org.apache.kafka kafka_2.13 4.1.1
      dependency org.apache.kafka kafka-tools 4.1.1
      dependency org.apache.logging.log4j log4j-slf4j-impl 2.24.3
      dependency org.apache.logging.log4j log4j-core 2.24.3 ;;
    kafka28)
      dependency org.apache.kafka kafka_2.13 2.8.2
      dependency org.apache.kafka kafka-tools 2.8.2
      dependency org.slf4j slf4j-reload4j 1.7.36 ;;
    kafka11)
      dependency org.apache.kafka kafka_2.12 1.1.1
      dependency org.apache.kafka kafka-tools 1.1.1 ;;
    clients102)
      dependency org.apache.kafka kafka-clients 0.10.2.2
      dependency org.slf4j slf4j-log4j12 1.7.21 ;;
    streams)
      dependency org.apache.kafka kafka-streams 3.9.1
      dependency org.slf4j slf4j-reload4j 1.7.36 ;;
    connect)
      dependency org.apache.kafka connect-runtime 3.9.1
      dependency org.apache.kafka connect-file 3.9.1
      dependency org.slf4j slf4j-reload4j 1.7.36 ;;
    clients10)
      dependency org.apache.kafka kafka-clients 0.10.0.1
      dependency org.slf4j slf4j-log4j12 1.7.21 ;;
    zookeeper)
      dependency org.apache.zookeeper zookeeper 3.9.3
      dependency io.dropwizard.metrics metrics-core 4.1.12.1
      dependency org.xerial.snappy snappy-java 1.1.10.5
      dependency commons-cli commons-cli 1.5.0
      dependency jline jline 2.14.6
      dependency org.eclipse.jetty jetty-server 9.4.56.v20240826
      dependency org.eclipse.jetty jetty-servlet 9.4.56.v20240826
      dependency com.fasterxml.jackson.core jackson-databind 2.15.2 ;;
    zookeeper34)
      dependency org.apache.zookeeper zookeeper 3.4.14 ;;
    # A library for programs of the tests; there is nothing to run.
    curator)
      dependency org.apache.curator curator-recipes 5.9.0
      dependency org.apache.zookeeper zookeeper 3.9.3
      dependency org.slf4j slf4j-nop 1.7.36 ;;
    *) fail "no peer '$1'; this file's first lines name all" ;;
  esac
}

write_pom() {
  cat <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>peers</groupId><artifactId>$1</artifactId><version>1</version>
<dependencies>
$(dependencies_of "$1")
</dependencies></project>
POM
}

write_run() {
  cat <<'RUN'
#!/usr/bin/env bash
# run MAIN-CLASS [ARG...]
home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
exec java -Xms"${HEAP:-1g}" -Xmx"${HEAP:-1g}" -XX:+UseG1GC ${JAVA_OPTS:-} \
  -Dlog4j.configuration="${LOG4J:-file:$home/log4j.properties}" -cp "$home/libs/*" "$@"
RUN
}

write_log4j() {
  cat <<'LOG4J'
log4j.rootLogger=WARN, stderr
log4j.appender.stderr=org.apache.log4j.ConsoleAppender
log4j.appender.stderr.target=System.err
log4j.appender.stderr.layout=org.apache.log4j.PatternLayout
log4j.appender.stderr.layout.ConversionPattern=[%d] %p %m (%c)%n
LOG4J
}

install_peer() {
  local peer=$1 home=$dir/$1
  # `run` is written last: where it stands, the peer is complete.
  [ -x "$home/run" ] && return
  dependencies_of "$peer" >/dev/null
  command -v java >/dev/null || fail "java is missing (Debian: apt install default-jre-headless)"
  command -v mvn >/dev/null || fail "mvn is missing (Debian: apt install maven)"
  echo "peers: fetching $peer"
  mkdir -p "$home/libs"
  write_pom "$peer" >"$home/pom.xml"
  mvn -q -B -f "$home/pom.xml" dependency:copy-dependencies \
    -DoutputDirectory="$home/libs" -DincludeScope=runtime ||
    fail "maven could not fetch $peer (its output is above)"
  write_log4j >"$home/log4j.properties"
  write_run >"$home/run.new"
  chmod +x "$home/run.new"
  mv "$home/run.new" "$home/run"
  echo "peers: $peer, $(find "$home/libs" -name '*.jar' | wc -l) jars"
}

mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
for peer in "$@"; do
  install_peer "$peer"
done
