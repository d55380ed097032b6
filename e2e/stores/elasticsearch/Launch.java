import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Starts one node of Elasticsearch from the jars published on Maven, which lack the archive's own launcher.
 *
 * <p>Arguments: home folder, configuration folder, then settings as {@code -Ename=value}. It ends with its process.
 */
public final class Launch {
  private Launch() {}

  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]);
    Path configuration = Path.of(arguments[1]);
    Map<String, String> given = new HashMap<>();
    for (int i = 2; i < arguments.length; i++) {
      String[] setting = arguments[i].split("=", 2);
      if (!arguments[i].startsWith("-E") || setting.length != 2) {
        System.err.println("unknown option " + arguments[i] + "; settings are given as -Ename=value");
        System.exit(64);
      }
      given.put(setting[0].substring(2), setting[1]);
    }
    LogConfigurator.registerErrorListener();
    LogConfigurator.configureESLogging();
    Settings base = Settings.builder().put("path.home", home.toString()).build();
    Environment environment =
        InternalSettingsPreparer.prepareEnvironment(base, given, configuration, () -> "node");
    LogConfigurator.configure(environment, true);
    PluginsLoader plugins =
        PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(environment.modulesDir()),
            PluginsLoader.loadPluginsBundles(environment.pluginsDir()),
            Map.of(),
            false);
    Node node = new Node(environment, plugins);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
    node.start();
    Thread.currentThread().join();
  }

  private static void close(Node node) {
    try {
      node.close();
    } catch (Exception error) {
      error.printStackTrace();
    }
  }
}
