#include "base/text.hpp"
#include "simulator/resource.hpp"

namespace sallyport::simulator {

namespace {

void complete_storage(Json& storage) {
    if (!storage.is_object()) storage = Json::object();
    if (!storage.contains("osDisk") || !storage["osDisk"].is_object())
        storage["osDisk"] = Json::object();
    if (storage.contains("imageReference") &&
        text_at(storage["imageReference"], "version") == "latest" &&
        text_at(storage["imageReference"], "sku") == "2019-Datacenter") {
        storage["imageReference"]["exactVersion"] = "17763.8276.260109";  // recorded
    }
    Json& disk = storage["osDisk"];
    if (!disk.contains("osType")) {
        const bool windows =
            storage.contains("imageReference") &&
            text_at(storage["imageReference"], "publisher").find("Windows") != std::string::npos;
        disk["osType"] = windows ? "Windows" : "Linux";
    }
    // The three below are as recorded for a VM made from an image.
    if (!disk.contains("createOption")) disk["createOption"] = "FromImage";
    disk["deleteOption"] = disk.value("deleteOption", "Detach");
    disk["diskSizeGB"] = disk.value("diskSizeGB", 127);
    if (!storage.contains("dataDisks")) storage["dataDisks"] = Json::array();
}

void complete_os(Json& os, bool windows) {
    os.erase("adminPassword");
    os.erase("customData");
    if (windows && !os.contains("windowsConfiguration")) {
        os["windowsConfiguration"] = {
            {"provisionVMAgent", true},
            {"enableAutomaticUpdates", true},
            {"patchSettings", {{"patchMode", "AutomaticByOS"}, {"assessmentMode", "ImageDefault"}}},
            {"enableVMAgentPlatformUpdates", true}};
    }
    if (!windows && !os.contains("linuxConfiguration")) {
        // unverified: a Linux VM's defaults.
        os["linuxConfiguration"] = {{"disablePasswordAuthentication", true},
                                    {"provisionVMAgent", true}};
    }
    os["secrets"] = os.value("secrets", Json::array());
    os["allowExtensionOperations"] = os.value("allowExtensionOperations", true);
    os["requireGuestProvisionSignal"] = true;
}

}  // namespace

void complete_machine(Json& properties) {
    complete_storage(properties["storageProfile"]);
    const bool windows = text_at(properties["storageProfile"]["osDisk"], "osType") == "Windows";
    if (properties.contains("osProfile") && properties["osProfile"].is_object()) {
        complete_os(properties["osProfile"], windows);
    }
}

}  // namespace sallyport::simulator
