// What a program does with ZooKeeper's C client, on the server that the first argument names.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zookeeper/zookeeper.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int connected, seen_type;
static char seen_path[256];

static void check(int ok, const char *what, int code) {
    if (!ok) {
        printf("FAILED %s (%d %s)\n", what, code, zerror(code));
        exit(1);
    }
}

static void expect(int code, int wanted, const char *what) { check(code == wanted, what, code); }

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh, (void)context;
    pthread_mutex_lock(&lock);
    if (type == ZOO_SESSION_EVENT) {
        connected += state == ZOO_CONNECTED_STATE;
    } else {
        seen_type = type;
        snprintf(seen_path, sizeof seen_path, "%s", path);
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void wait_for(int *flag, const char *what) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 20;
    pthread_mutex_lock(&lock);
    while (!*flag) {
        check(pthread_cond_timedwait(&changed, &lock, &deadline) == 0, what, 0);
    }
    pthread_mutex_unlock(&lock);
}

static zhandle_t *connect_to(const char *servers) {
    connected = 0;
    zhandle_t *zh = zookeeper_init(servers, on_event, 6000, NULL, NULL, 0);
    check(zh != NULL, "init", 0);
    wait_for(&connected, "no connection");
    return zh;
}

int main(int count, char **arguments) {
    check(count == 2, "usage: client SERVERS", 0);
    zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
    zhandle_t *zh = connect_to(arguments[1]);
    struct Stat stat;
    char buffer[64], path[64];
    int length = sizeof buffer;

    expect(zoo_create(zh, "/c", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path), ZOK, "create");
    expect(zoo_create(zh, "/c", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNODEEXISTS, "again");
    expect(zoo_wget(zh, "/c", on_event, NULL, buffer, &length, &stat), ZOK, "get");
    check(length == 3 && memcmp(buffer, "one", 3) == 0 && stat.version == 0, "data", 0);
    expect(zoo_set2(zh, "/c", "two", 3, 0, &stat), ZOK, "set");
    wait_for(&seen_type, "no event");
    check(seen_type == ZOO_CHANGED_EVENT && strcmp(seen_path, "/c") == 0, "event", seen_type);
    expect(zoo_set(zh, "/c", "x", 1, 0), ZBADVERSION, "set of an old version");
    check(stat.version == 1 && stat.mzxid > stat.czxid, "stat", 0);
    puts("ok data");

    zhandle_t *other = connect_to(arguments[1]);
    int flags = ZOO_EPHEMERAL | ZOO_SEQUENCE;
    expect(zoo_create(other, "/c/s-", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, flags, path, sizeof path), ZOK,
           "sequence");
    check(strcmp(path, "/c/s-0000000000") == 0, path, 0);
    seen_type = 0;
    expect(zoo_wexists(zh, path, on_event, NULL, &stat), ZOK, "exists");
    check(stat.ephemeralOwner == zoo_client_id(other)->client_id, "owner", 0);
    zookeeper_close(other);
    wait_for(&seen_type, "the ephemeral stays");
    check(seen_type == ZOO_DELETED_EVENT, "deleted", seen_type);
    puts("ok ephemerals");

    zoo_op_t ops[4];
    zoo_op_result_t results[4];
    zoo_create_op_init(&ops[0], "/c/m", "m", 1, &ZOO_OPEN_ACL_UNSAFE, 0, path, sizeof path);
    zoo_set_op_init(&ops[1], "/c/m", "n", 1, 0, &stat);
    zoo_check_op_init(&ops[2], "/c/m", 1);
    zoo_delete_op_init(&ops[3], "/c/m", 1);
    expect(zoo_multi(zh, 4, ops, results), ZOK, "multi");
    check(strcmp(path, "/c/m") == 0 && stat.version == 1, "answers of the multi", 0);
    zoo_check_op_init(&ops[1], "/c/none", 0);
    expect(zoo_multi(zh, 2, ops, results), ZNONODE, "a multi that fails");
    check(results[0].err == ZOK && results[1].err == ZNONODE, "each part", results[1].err);
    expect(zoo_exists(zh, "/c/m", 0, &stat), ZNONODE, "nothing of it was done");
    puts("ok multi");

    struct String_vector children;
    expect(zoo_create2_ttl(zh, "/c/t", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT_WITH_TTL, 600000,
                           path, sizeof path, &stat),
           ZOK, "TTL");
    expect(zoo_create2(zh, "/c/k", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, path, sizeof path, &stat),
           ZOK, "container");
    expect(zoo_get_children2(zh, "/c", 0, &children, &stat), ZOK, "children");
    check(children.count == 2 && stat.numChildren == 2, "count of children", children.count);
    deallocate_String_vector(&children);
    puts("ok children");

    struct ACL_vector acl;
    expect(zoo_get_acl(zh, "/c", &acl, &stat), ZOK, "get acl");
    check(acl.count == 1 && strcmp(acl.data[0].id.scheme, "world") == 0, "acl", acl.count);
    expect(zoo_set_acl(zh, "/c", -1, &ZOO_READ_ACL_UNSAFE), ZOK, "set acl");
    expect(zoo_set(zh, "/c", "y", 1, -1), ZNOAUTH, "set without permission");
    deallocate_ACL_vector(&acl);
    puts("ok acl");
    zookeeper_close(zh);
    return 0;
}
