package integration

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestClusterInventoryIsExported(t *testing.T) {
	t.Parallel()
	c := newConfigured(t)
	c.apply(namespace("a") + configMaps("a", "one", "two", "three") + colors + `---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterTarget
metadata: {name: maps}
spec: {profileRef: {name: colors}, selector: {matchLabels: {app: demo}}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: lake}
spec: {type: objectStore, minWriteInterval: 0s, objectStore: {url: "file:///lake", format: json}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterInventory
metadata: {name: platform}
spec: {sinkRefs: [{name: lake}]}
`)
	c.wantRows("", "platform", "one", "two", "three")
	first := c.wantExported("lake", "", "platform")
	c.wantCondition("kollectclusterinventories", "", "platform", "Exported", "True", "Exported")
	c.wantCondition("kollectclusterinventories", "", "platform", "Synced", "True", "Synced")
	c.wantCondition("kollectclustertargets", "", "maps", "Ready", "True", "Ready")
	c.wantCondition("kollectclusterprofiles", "", "colors", "Ready", "True", "Ready")
	c.wantCondition("kollectclustersinks", "", "lake", "Ready", "True", "Ready")
	c.until(func() string { // the head shows what the status shows
		head := c.snapshot("", "platform").Head()
		if head.Generation == first.Generation && len(head.Sinks) == 1 && head.Sinks[0].Hash == first.Hash {
			return ""
		}
		return fmt.Sprintf("the head shows generation %d and sinks %+v, want generation %d", head.Generation, head.Sinks, first.Generation)
	})
	if status := c.inventoryStatus("kollectclusterinventories", "", "platform"); status.ReservedGeneration < first.Generation {
		t.Errorf("generation %d is exported, %d are reserved", first.Generation, status.ReservedGeneration)
	}

	// A restart rewrites nothing, and the next content has a higher generation.
	c.end()
	before := files(t, c.fileRoot)
	c.start("two")
	c.wantRows("", "platform", "one", "two", "three")
	c.until(func() string {
		head := c.snapshot("", "platform").Head()
		if len(head.Sinks) == 1 && head.Sinks[0].Generation == first.Generation && head.Synced() && c.leads("two") {
			return ""
		}
		return fmt.Sprintf("the head shows sinks %+v after the restart", head.Sinks)
	})
	if after := files(t, c.fileRoot); !slices.Equal(before, after) {
		t.Errorf("files after the restart: %v, want %v", after, before)
	}
	c.apply(configMaps("a", "four"))
	c.wantRows("", "platform", "one", "two", "three", "four")
	if second := c.wantExported("lake", "", "platform"); second.Generation <= first.Generation {
		t.Errorf("generation %d follows %d", second.Generation, first.Generation)
	}
	written := slices.DeleteFunc(files(t, c.fileRoot), func(name string) bool {
		return filepath.Ext(name) != ".json" || !strings.HasPrefix(filepath.Base(name), "generation=")
	})
	if len(written) != 2 {
		t.Errorf("files of two contents: %v", written)
	}

	// What is empty is exported as empty.
	c.cp.MustKubectl(t, "delete", "configmaps", "-n", "a", "-l", "app=demo", "--wait=false")
	c.wantRows("", "platform")
	if last := c.wantExported("lake", "", "platform"); last.Rows != 0 {
		t.Errorf("%d rows are exported, want none", last.Rows)
	}
	c.cp.MustKubectl(t, "delete", "kollectclusterinventory", "platform")
	c.until(func() string {
		if c.snapshot("", "platform") == nil {
			return ""
		}
		return "the deleted inventory is still served"
	})
}

func TestNothingIsExportedWhileTheAPIServerIsDown(t *testing.T) {
	t.Parallel()
	c := newConfigured(t)
	c.apply(namespace("a") + configMaps("a", "one", "two") + colors + `---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterTarget
metadata: {name: maps}
spec: {profileRef: {name: colors}, selector: {matchLabels: {app: demo}}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterSink
metadata: {name: lake}
spec: {type: objectStore, minWriteInterval: 0s, objectStore: {url: "file:///lake", format: json}}
---
apiVersion: kollect.io/v1alpha1
kind: KollectClusterInventory
metadata: {name: platform}
spec: {exportMinInterval: 1h, sinkRefs: [{name: lake}]}
`)
	c.wantRows("", "platform", "one", "two")
	first := c.wantExported("lake", "", "platform")
	of := *c.snapshot("", "platform").Inventory()
	if err := c.cp.StopAPIServer(); err != nil {
		t.Fatal(err)
	}
	c.until(func() string { // the rows stay, and are said to be stale
		if head := c.snapshot("", "platform").Head(); head.Stale() && head.Rows == 2 {
			return ""
		}
		return "the inventory is not stale, or has lost rows"
	})
	if got := c.exported("lake", of); got != first {
		t.Errorf("exported during the outage: %+v, want %+v", got, first)
	}
	c.end()
	c.start("two")
	if err := c.cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.wantRows("", "platform", "one", "two")
	c.wantExported("lake", "", "platform")
	c.until(func() string {
		if c.leads("two") {
			return ""
		}
		return "the restarted controller does not lead"
	})
	c.apply(configMaps("a", "three"))
	c.wantRows("", "platform", "one", "two", "three")
	second := c.wantExported("lake", "", "platform")
	if second.Generation <= first.Generation || second.Rows != 3 {
		t.Errorf("exported after the outage: %+v, want 3 rows of a generation above %d", second, first.Generation)
	}
}
