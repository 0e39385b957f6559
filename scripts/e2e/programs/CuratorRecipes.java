import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.retry.RetryOneTime;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.data.Stat;

/** Curator's recipes on the server that the first argument names; prints one line for each. */
public class CuratorRecipes {
    private static final int SECONDS = 20;
    private static String servers;

    interface Recipe {
        void run(CuratorFramework client) throws Exception;
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        servers = arguments[0];
        boolean ttl = arguments.length > 1 && arguments[1].equals("ttl");
        recipe("leader latch", CuratorRecipes::leaderLatch);
        recipe("mutex", CuratorRecipes::mutex);
        recipe("path cache", CuratorRecipes::pathCache);
        recipe("tree cache", CuratorRecipes::treeCache);
        recipe("curator cache", CuratorRecipes::curatorCache);
        recipe("persistent node", CuratorRecipes::persistentNode);
        recipe("container", CuratorRecipes::container);
        recipe("transaction", CuratorRecipes::transaction);
        if (ttl) {
            recipe("persistent TTL node", CuratorRecipes::persistentTtlNode);
        }
        System.exit(0);
    }

    private static CuratorFramework connect() throws Exception {
        CuratorFramework client =
            CuratorFrameworkFactory.newClient(servers, 6000, 6000, new RetryOneTime(200));
        client.start();
        check(client.blockUntilConnected(SECONDS, TimeUnit.SECONDS), "no connection");
        return client;
    }

    private static void recipe(String name, Recipe recipe) throws Exception {
        try (CuratorFramework client = connect()) {
            recipe.run(client);
        }
        System.out.println("ok " + name);
    }

    private static void check(boolean condition, String what) {
        if (!condition) {
            System.out.println("FAILED " + what);
            System.exit(1);
        }
    }

    private static void eventually(Condition condition, String what) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
        while (!condition.holds()) {
            check(System.nanoTime() < deadline, "not in time: " + what);
            TimeUnit.MILLISECONDS.sleep(10);
        }
    }

    private static void leaderLatch(CuratorFramework client) throws Exception {
        CuratorFramework other = connect();
        LeaderLatch first = new LeaderLatch(client, "/latch", "first");
        LeaderLatch second = new LeaderLatch(other, "/latch", "second");
        first.start();
        check(first.await(SECONDS, TimeUnit.SECONDS), "the only one leads");
        second.start();
        eventually(() -> second.getParticipants().size() == 2, "two take part");
        check(!second.hasLeadership(), "two lead");
        check(second.getLeader().getId().equals("first"), "another leader is shown");
        first.close();
        check(second.await(SECONDS, TimeUnit.SECONDS), "nobody takes over");
        other.close();
        eventually(() -> client.getChildren().forPath("/latch").isEmpty(), "a latch remains");
    }

    private static void mutex(CuratorFramework client) throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger turns = new AtomicInteger();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 5; i++) {
            threads.add(new Thread(() -> {
                try (CuratorFramework own = connect()) {
                    for (int turn = 0; turn < 5; turn++) {
                        InterProcessMutex mutex = new InterProcessMutex(own, "/mutex");
                        check(mutex.acquire(SECONDS, TimeUnit.SECONDS), "no lock");
                        check(inside.incrementAndGet() == 1, "two hold the lock");
                        turns.incrementAndGet();
                        inside.decrementAndGet();
                        mutex.release();
                    }
                } catch (Exception error) {
                    check(false, "mutex: " + error);
                }
            }));
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        check(turns.get() == 25, "turns: " + turns);
    }

    private static void pathCache(CuratorFramework client) throws Exception {
        client.create().forPath("/path");
        try (PathChildrenCache cache = new PathChildrenCache(client, "/path", true)) {
            cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
            for (int i = 0; i < 20; i++) {
                client.create().forPath("/path/" + i, ("value " + i).getBytes());
            }
            eventually(() -> cache.getCurrentData().size() == 20, "20 children");
            client.setData().forPath("/path/7", "changed".getBytes());
            eventually(() -> is(cache.getCurrentData("/path/7"), "changed"), "a change");
            client.delete().forPath("/path/7");
            eventually(() -> cache.getCurrentData("/path/7") == null, "a deletion");
        }
    }

    private static boolean is(ChildData data, String value) {
        return data != null && new String(data.getData()).equals(value);
    }

    private static void treeCache(CuratorFramework client) throws Exception {
        try (TreeCache cache = new TreeCache(client, "/tree")) {
            cache.start();
            client.create().creatingParentsIfNeeded().forPath("/tree/a/b/c", "deep".getBytes());
            eventually(() -> is(cache.getCurrentData("/tree/a/b/c"), "deep"), "what is deep");
            client.delete().deletingChildrenIfNeeded().forPath("/tree/a");
            eventually(() -> cache.getCurrentData("/tree/a") == null, "a subtree that is gone");
        }
    }

    private static void curatorCache(CuratorFramework client) throws Exception {
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        CuratorCacheListener listener = CuratorCacheListener.builder()
            .forCreates(node -> seen.add("created " + node.getPath()))
            .forChanges((before, after) -> seen.add("changed " + after.getPath()))
            .forDeletes(node -> seen.add("deleted " + node.getPath()))
            .build();
        try (CuratorCache cache = CuratorCache.build(client, "/cache")) {
            cache.listenable().addListener(listener);
            cache.start();
            client.create().creatingParentsIfNeeded().forPath("/cache/x", "1".getBytes());
            expect(seen, "created /cache");
            expect(seen, "created /cache/x");
            client.setData().forPath("/cache/x", "2".getBytes());
            expect(seen, "changed /cache/x");
            client.delete().forPath("/cache/x");
            expect(seen, "deleted /cache/x");
        }
    }

    private static void expect(BlockingQueue<String> seen, String wanted) throws Exception {
        String found = seen.poll(SECONDS, TimeUnit.SECONDS);
        check(wanted.equals(found), "expected " + wanted + ", found " + found);
    }

    private static void persistentNode(CuratorFramework client) throws Exception {
        byte[] data = "here".getBytes();
        PersistentNode node =
            new PersistentNode(client, CreateMode.EPHEMERAL, false, "/persistent", data);
        node.start();
        check(node.waitForInitialCreate(SECONDS, TimeUnit.SECONDS), "no node");
        Stat first = client.checkExists().forPath("/persistent");
        client.delete().forPath("/persistent");
        eventually(() -> {
            Stat again = client.checkExists().forPath("/persistent");
            return again != null && again.getCzxid() > first.getCzxid();
        }, "the node comes again");
        node.close();
        eventually(() -> client.checkExists().forPath("/persistent") == null, "the node ends");
    }

    private static void container(CuratorFramework client) throws Exception {
        client.create().withMode(CreateMode.CONTAINER).forPath("/container");
        client.create().withMode(CreateMode.EPHEMERAL).forPath("/container/child");
        check(client.checkExists().forPath("/container").getEphemeralOwner() == 0, "owner");
        client.delete().forPath("/container/child");
    }

    private static void transaction(CuratorFramework client) throws Exception {
        client.transaction().forOperations(
            client.transactionOp().create().forPath("/transaction", "1".getBytes()),
            client.transactionOp().setData().withVersion(0).forPath("/transaction", "2".getBytes()),
            client.transactionOp().check().withVersion(1).forPath("/transaction"));
        check(new String(client.getData().forPath("/transaction")).equals("2"), "not all was done");
        try {
            client.transaction().forOperations(
                client.transactionOp().delete().forPath("/transaction"),
                client.transactionOp().check().forPath("/missing"));
            check(false, "a bad transaction was done");
        } catch (org.apache.zookeeper.KeeperException.NoNodeException expected) {
            check(client.checkExists().forPath("/transaction") != null, "half was done");
        }
    }

    private static void persistentTtlNode(CuratorFramework client) throws Exception {
        PersistentTtlNode node = new PersistentTtlNode(client, "/ttl", 1500, "alive".getBytes());
        node.start();
        check(node.waitForInitialCreate(SECONDS, TimeUnit.SECONDS), "no node");
        // The recipe touches a child, so that the node outlives its time to live.
        TimeUnit.MILLISECONDS.sleep(4000);
        check(client.checkExists().forPath("/ttl") != null, "the node is gone while it is kept");
        node.close();
        eventually(() -> client.checkExists().forPath("/ttl") == null, "the node outlives its keeper");
    }
}
